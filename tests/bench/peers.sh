# peers.sh - what stands beside ours: web servers for files in a folder, and tus servers. Sourced
# behind lib.sh. Those that are not there are left out, and the report says so.

# free_port - one that nobody listens on.
free_port() {
	local port
	for (( ; ; )); do
		port=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port; return; }
	done
}
# answers URL PID LOG - waits until it does.
answers() {
	local i
	for ((i = 0; i < 100; i++)); do
		kill -0 "$2" 2>/dev/null || break
		! curl -s -o /dev/null "$1" || return 0
		sleep 0.1
	done
	cat "$3" >&2
	die "no answer from $1"
}

# ---- web servers: NAME_web DIR ROOT sets web[NAME], the URL under which the files of ROOT are, and
# web_pid[NAME] ----
declare -A web web_pid
web_start() { "$1_web" "$2" "$3"; }
# begun NAME URL - what was started last; it is ended with the case, whether it answers or not.
begun() {
	web_pid[$1]=$! web[$1]=$2
	pids+=($!)
}
WEB_PEERS=(nginx)
[ -z "$(type -P yaws)" ] || WEB_PEERS+=(yaws)
[ -z "$(type -P minio)" ] || WEB_PEERS+=(minio)
WEB_PEERS+=(mhd)

# With $WORK/cert.pem and $WORK/key.pem also by TLS, at nginx_tls. Takes PUT under /put/. NOPUSH=off where
# that serves it better: whole files it sends up to twice as fast with it, ranges at a twentieth.
nginx_web() {
	local dir=$1 port
	mkdir -p "$dir/tmp" "$2/put"
	port=$(free_port)
	nginx_tls=https://127.0.0.1:$((port + 10000))
	nginx_conf "$PWD/$dir" "$PWD/$2" $port >"$dir/nginx.conf"
	nginx -p "$PWD/$dir" -c nginx.conf -e error.log >"$dir/out" 2>&1 &
	begun nginx "http://127.0.0.1:$port"
	answers "${web[nginx]}" "${web_pid[nginx]}" "$dir/out"
}
nginx_conf() { # DIR ROOT PORT
	cat <<-END
		daemon off;
		worker_processes 2;
		worker_rlimit_nofile 20000;
		pid nginx.pid;
		$([ "$(id -u)" != 0 ] || echo "user root;")
		events { worker_connections 20000; }
		http {
			sendfile on;
			tcp_nopush ${NOPUSH:-on};
			access_log off;
			keepalive_requests 10000000;
			keepalive_timeout 10m;
			client_max_body_size 0;
			client_body_temp_path $1/tmp;
			server {
				listen 127.0.0.1:$3;
				$([ ! -e "$WORK/cert.pem" ] || echo "listen 127.0.0.1:$(($3 + 10000)) ssl;
				ssl_certificate $PWD/$WORK/cert.pem; ssl_certificate_key $PWD/$WORK/key.pem;
				ssl_protocols TLSv1.2 TLSv1.3;")
				root $2;
				location /put/ { dav_methods PUT; }
			}
		}
	END
}

yaws_web() {
	local dir=$1 port
	mkdir -p "$dir"
	port=$(free_port)
	cat >"$dir/yaws.conf" <<-END
		logdir = $PWD/$dir
		max_connections = nolimit
		keepalive_maxuses = nolimit
		keepalive_timeout = 30000
		<server localhost>
			port = $port
			listen = 127.0.0.1
			docroot = $PWD/$2
			access_log = false
			<listen_opts>
				nodelay = true
			</listen_opts>
		</server>
	END
	HOME=$PWD/$dir yaws -i --nodebug --id "restante_bench_$port" --conf "$PWD/$dir/yaws.conf" \
		--erlarg "-noshell -noinput" </dev/null >"$dir/out" 2>&1 &
	begun yaws "http://127.0.0.1:$port"
	answers "${web[yaws]}" "${web_pid[yaws]}" "$dir/out"
}

# libmicrohttpd alone, from memory; ends with its standard input.
mhd_web() {
	local i hold
	rm -f "$1.in" && mkfifo "$1.in"
	: >"$1.out"
	"$BIN/mhd_alone" 2 $(find "$2" -maxdepth 1 -type f) <"$1.in" >"$1.out" &
	begun mhd ""
	exec {hold}>"$1.in"
	for ((i = 0; i < 100; i++)); do
		web[mhd]=$(sed -n 's#^listening on \(.*\)/$#\1#p' "$1.out")
		[ -z "${web[mhd]}" ] || return 0
		sleep 0.1
	done
	die "mhd_alone did not start"
}

# A bucket that anybody may read and write.
minio_web() {
	local dir=$1 file port at
	mkdir -p "$dir"
	port=$(free_port) at=http://127.0.0.1:$port/bench
	MINIO_ROOT_USER=restante MINIO_ROOT_PASSWORD=restante-bench MINIO_BROWSER=off \
		minio server --quiet --address "127.0.0.1:$port" "$dir" >"$dir.out" 2>&1 &
	begun minio "$at"
	answers "http://127.0.0.1:$port/minio/health/live" "${web_pid[minio]}" "$dir.out"
	minio_ask -X PUT "$at"
	minio_ask -X PUT "$at?policy" -d '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"AWS":["*"]},"Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::bench/*"]}]}'
	for file in $(find "$2" -maxdepth 1 -type f -printf '%f\n'); do
		curl -fsS -T "$2/$file" "$at/$file"
	done
}
minio_ask() { curl -fsS --aws-sigv4 aws:amz:us-east-1:s3 -u restante:restante-bench "$@"; }

# web_versions - for the notes.
web_versions() {
	local all
	all="nginx $(nginx -v 2>&1 | sed 's#.*/##')"
	[[ " ${WEB_PEERS[*]} " != *" yaws "* ]] || all+=", yaws $(dpkg-query -W -f '${Version}' yaws 2>/dev/null || echo '?')"
	if [[ " ${WEB_PEERS[*]} " = *" minio "* ]]; then
		all+=", $(minio --version | head -n 1)"
	else
		all+="; minio is not on PATH, so it is not measured"
	fi
	note "$all"
}

# ---- tus servers: NAME_start DIR sets pid, server, endpoint (its path), as their README starts them ----
TUS_PEERS=(tusjs)
[ -z "$(type -P tusd)" ] || TUS_PEERS+=(tusd)
[ -z "$(type -P rustus)" ] || TUS_PEERS+=(rustus)
TUS_SERVERS=(ours "${TUS_PEERS[@]}")

# npm_packages - sets npm to a folder with the packages of tests/clients/package-lock.json. It is
# shared with the client suites, so it is made beside and renamed.
npm_packages() {
	local lock=tests/clients/package-lock.json fresh=$BUILD/npm.$$
	npm=${NPM:-$BUILD/npm}
	[ -z "${NPM:-}" ] && ! cmp -s "$lock" "$npm/package-lock.json" || return 0
	command -v npm >/dev/null || die "npm is missing (make deps-bench)"
	rm -rf "$fresh" && mkdir -p "$fresh"
	cp tests/clients/package.json "$lock" "$fresh"
	(cd "$fresh" && npm ci --prefer-offline --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
	rm -rf "$npm"
	mv "$fresh" "$npm"
}

# program_start DIR COMMAND... - starts a server that says where it listens; sets program_pid, and
# program_url by the first match of LISTENING in what it says.
LISTENING='s#^.*listening on (http://[^ ]*[^ /])/?$#\1#p'
program_start() {
	local dir=$1 i
	shift
	mkdir -p "$dir"
	: >"$dir.out"
	"$@" >"$dir.out" 2>&1 &
	program_pid=$! program_url=
	pids+=("$program_pid")
	for ((i = 0; i < 300; i++)); do
		program_url=$(sed -nE "$LISTENING" "$dir.out" | head -n 1)
		[ -z "$program_url" ] || return 0
		kill -0 "$program_pid" 2>/dev/null || break
		sleep 0.1
	done
	cat "$dir.out" >&2
	die "$1 did not start"
}
tus_to() { pid=$program_pid server=${program_url%"$1"} endpoint=$1; }
ours_start() {
	server_start "$1" "${SETTINGS:-}"
	pid=$server_pid endpoint=/v1/uploads
}
tusjs_start() {
	npm_packages
	program_start "$1" node tests/bench/tus_peer.js "$npm" "$1"
	tus_to /files
}
# With the IETF's resumable uploads, which it calls experimental.
tusd_start() {
	LISTENING='s#^.*(http://127[^ "]*/files)/.*$#\1#p' \
		program_start "$1" tusd -verbose=false -enable-experimental-protocol -host 127.0.0.1 -port 0 \
		-base-path /files/ -upload-dir "$1"
	tus_to /files
	endpoint=/files/
}
rustus_start() {
	local port
	mkdir -p "$1"
	port=$(free_port)
	rustus --host 127.0.0.1 --port "$port" --url /files --data-dir "$1" --info-dir "$1" \
		--max-body-size 4294967296 --log-level WARN >"$1.out" 2>&1 &
	pid=$! server=http://127.0.0.1:$port endpoint=/files
	pids+=("$pid")
	answers "$server/" $pid "$1.out"
}
tus_port() { echo "${server##*:}"; }
tus_versions() {
	local name
	npm_packages
	note "@tus/server $(npm_version @tus/server), @tus/file-store $(npm_version @tus/file-store), node $(node --version)"
	for name in tusd rustus; do
		if [[ " ${TUS_PEERS[*]} " != *" $name "* ]]; then
			note "$name is not there, so it is not measured"
		elif [ $name = tusd ]; then
			note "tusd $(cat build/tools/tusd.version 2>/dev/null || tusd -version | sed -n 's/^Version: *//p')"
		else
			note "$(rustus --version | head -n 1)"
		fi
	done
}
npm_version() { sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$npm/node_modules/$1/package.json" | head -n 1; }
