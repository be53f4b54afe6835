"""peer.py - servers that restante is not to take for itself: one that answers every request with one
status (peer.py STATUS [FIELD VALUE]...), and a tus server that knows neither tokens nor extensions
(peer.py tus), whose uploads can be fetched. And a line to a server that breaks whenever so many bytes
have come down it (peer.py line PORT BYTES). Prints its address."""
import http.server
import socket
import socketserver
import struct
import sys
import threading

uploads = {}


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, fields=(), body=b''):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def take(self):
        return self.rfile.read(int(self.headers.get('Content-Length', 0)))


class Fixed(Answer):
    def any(self):
        self.close_connection = True
        fields = sys.argv[2:]
        self.answer(int(sys.argv[1]), [('Connection', 'close'), *zip(fields[::2], fields[1::2])])

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = do_OPTIONS = any


class Tus(Answer):
    def do_POST(self):
        path = '%s/%d' % (self.path, len(uploads))
        uploads[path] = b''
        self.take()
        self.answer(201, [('Tus-Resumable', '1.0.0'), ('Location', path)])

    def do_HEAD(self):
        self.answer(200, [('Tus-Resumable', '1.0.0'), ('Upload-Offset', str(len(uploads[self.path])))])

    def do_PATCH(self):
        uploads[self.path] += self.take()
        self.answer(204, [('Tus-Resumable', '1.0.0'), ('Upload-Offset', str(len(uploads[self.path])))])

    def do_GET(self):
        self.answer(200, body=uploads[self.path])

    def do_OPTIONS(self):
        self.answer(204, [('Tus-Resumable', '1.0.0'), ('Tus-Version', '1.0.0')])


class Line(socketserver.BaseRequestHandler):
    def up(self, server):
        try:
            while piece := self.request.recv(65536):
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def handle(self):
        left = int(sys.argv[3])
        with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as server:
            threading.Thread(target=self.up, args=(server,), daemon=True).start()
            while piece := server.recv(min(left, 65536)):
                self.request.sendall(piece)
                left -= len(piece)
                if left == 0:  # as if somebody had pulled a plug
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    break


class Lines(socketserver.ThreadingTCPServer):
    daemon_threads = True


if sys.argv[1] == 'line':
    server = Lines(('127.0.0.1', 0), Line)
else:
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Tus if sys.argv[1] == 'tus' else Fixed)
print('http://127.0.0.1:%d' % server.server_address[1], flush=True)
server.serve_forever()
