"""admin_peer.py SOCKET ANSWERS ASKED - an operator's socket that answers as the file ANSWERS says when it
is asked: a JSON object from "METHOD /path" to [STATUS, BODY], "*" for all others; BODY is text or JSON, and
STATUS 0 closes without an answer. What was asked is appended to ASKED, a line each. Prints "ready"."""
import http.server
import json
import os
import socketserver
import sys

path, answers, asked = sys.argv[1:]


class Admin(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def address_string(self):
        return path

    def log_message(self, *_):
        pass

    def any(self):
        name = '%s %s' % (self.command, self.path)
        with open(asked, 'a') as f:
            f.write(name + '\n')
        with open(answers) as f:
            table = json.load(f)
        status, body = table.get(name, table.get('*', [404, {'title': 'Not found', 'status': 404}]))
        if status == 0:
            self.close_connection = True
            return
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/problem+json' if status >= 400 else 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = any


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if os.path.exists(path):
    os.unlink(path)
server = Server(path, Admin)
print('ready', flush=True)
server.serve_forever()
