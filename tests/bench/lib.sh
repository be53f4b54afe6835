# lib.sh - what the cases share: servers in folders of their own, samples, notes. Sourced, not run.
# A case ends only what it started, by process id.
set -euo pipefail
shopt -s inherit_errexit
CASE=${0##*/}
WORK=$(mktemp -d "$OUT/work.XXXXXX")
KIB=1024 MIB=1048576 GIB=1073741824
pids=()

finish() {
	local pid
	for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || :; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || :; done
	rm -rf "$WORK" ${MEMORY_FILE:+"$MEMORY_FILE"}
}
trap finish EXIT
trap 'exit 1' INT TERM

die() { echo "$CASE: $*" >&2; exit 1; }

# sample METRIC RUN OURS [PEER] - one line of a figure.
sample() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:--}" >>"$OUT/$CASE.samples"
	printf '   %-22s run %s: ours %s, peer %s\n' "$1" "$2" "$3" "${4:--}" >&2
}
note() { echo "$*" >>"$OUT/$CASE.notes"; }

# told COMMAND... - runs it, and keeps its words for the report (ports, tokens, folders by name).
told() { tell "$@"; "$@"; }
tell() {
	local port=${server:-none}
	sed -E "s#$WORK#DIR#g; s#\b${port##*:}\b#PORT#g; s#$BIN/##g; s#(DIR/files)\.[0-9]+#\1#g; s#(127\.0\.0\.1):[0-9]+#\1:PORT#g; s#(/v1/media/)[A-Za-z0-9_.-]+#\1TOKEN#g; s#/dev/shm/restante-bench\.[A-Za-z0-9]+#/dev/shm/SOURCE#g" \
		<<<"${*@Q}" | sed -E "s#'([A-Za-z0-9_./:=+,@%-]+)'#\1#g" >>"$OUT/$CASE.commands"
}

calc() { awk "BEGIN { printf \"%.6g\", $* }"; }

# stop PID - ends a server that this case started, and waits for its end.
stop() {
	local pid keep=()
	kill -TERM "$1"
	wait "$1" || :
	for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || keep+=("$pid"); done
	pids=("${keep[@]}")
}

# server_start DIR [SETTINGS [LAUNCHER...]] - a restanted with two loops; sets server_pid, server.
server_start() {
	local dir=$1 settings=${2:-} i
	shift; [ $# -eq 0 ] || shift
	mkdir -p "$dir"
	rm -f "$dir.out"
	cat >"$dir.conf" <<-END
		listen = "127.0.0.1:0"
		data_dir = "$dir"
		log { level = warn }
		http { loops = 2 }
		$settings
	END
	"$@" "$RESTANTED" --config "$dir.conf" >"$dir.out" 2>"$dir.err" &
	server_pid=$!
	pids+=("$server_pid")
	for ((i = 0; i < 600; i++)); do
		server=$(sed -n 's/^listening on \(http:.*\)$/\1/p' "$dir.out" 2>/dev/null | head -n 1) || :
		[ -z "$server" ] || break
		kill -0 "$server_pid" 2>/dev/null || { cat "$dir.err" >&2; die "restanted did not start"; }
		sleep 0.1
	done
	server=${server%/}
	[ -n "$server" ] || die "restanted said nothing for a minute"
}

# metric DIR NAME - a counter of the restanted whose data is in DIR.
metric() { curl -fsS --unix-socket "$1/admin.sock" http://x/metrics | awk -v n="$2" '$1 == n { print $2 }'; }

# upload FILE - sets token and manage_token.
upload() {
	local answer
	answer=$(curl -fsS -T "$1" "$server/v1/media")
	token=$(field token "$answer") manage_token=$(field manage_token "$answer")
}
field() { sed -E "s/.*\"$1\" *: *\"([^\"]*)\".*/\1/" <<<"$2"; }

# nginx_start DIR - serves DIR/root, takes PUT under /put/; sets nginx_pid, nginx.
nginx_start() {
	local dir=$1 port i
	mkdir -p "$dir/root/put" "$dir/tmp"
	for ((i = 0; i < 60; i++)); do
		port=$((20000 + RANDOM % 10000))
		nginx_conf "$dir" $port >"$dir/nginx.conf"
		nginx -p "$PWD/$dir" -c nginx.conf -e error.log >"$dir/out" 2>&1 &
		nginx_pid=$!
		sleep 0.5
		if kill -0 $nginx_pid 2>/dev/null && curl -s -o "$dir/probe" "http://127.0.0.1:$port/"; then
			pids+=("$nginx_pid")
			nginx=http://127.0.0.1:$port
			return
		fi
		kill $nginx_pid 2>/dev/null || :
		wait $nginx_pid || :
	done
	cat "$dir/out" "$dir/error.log" >&2
	die "nginx did not start"
}

nginx_conf() {
	cat <<-END
		daemon off;
		worker_processes 2;
		pid nginx.pid;
		$([ "$(id -u)" != 0 ] || echo "user root;")
		events { }
		http {
			sendfile on;
			tcp_nopush on;
			access_log off;
			keepalive_requests 10000000;
			client_max_body_size 0;
			client_body_temp_path $PWD/$1/tmp;
			server {
				listen 127.0.0.1:$2;
				root $PWD/$1/root;
				location /put/ { dav_methods PUT; }
			}
		}
	END
}

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

# The tus servers: NAME_start DIR sets pid, server, endpoint (its path). Ours is the first of
# TUS_SERVERS; the peers are as their README starts them.
TUS_SERVERS=(ours tusjs)
[ -z "$(type -P tusd)" ] || TUS_SERVERS+=(tusd)
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
tusd_start() {
	LISTENING='s#^.*(http://127[^ "]*/files)/.*$#\1#p' \
		program_start "$1" tusd -verbose=false -host 127.0.0.1 -port 0 -base-path /files/ -upload-dir "$1"
	tus_to /files
	endpoint=/files/
}
tus_port() { echo "${server##*:}"; }
tus_versions() {
	npm_packages
	note "@tus/server $(npm_version @tus/server), @tus/file-store $(npm_version @tus/file-store), node $(node --version)"
	if [[ ${TUS_SERVERS[*]} = *tusd* ]]; then
		note "tusd $(tusd -version | sed -n 's/^Version: *//p')"
	else
		note "tusd is not on PATH, so it is not measured"
	fi
}
npm_version() { sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$npm/node_modules/$1/package.json" | head -n 1; }

# load SECONDS URL [SCRIPT...] - requests a second as wrk counts them; fails on any error.
load() {
	local seconds=$1 url=$2 log=$WORK/wrk.log
	shift 2
	settle
	told wrk -t2 -c16 -d"${seconds}s" ${1:+-s "$1"} "$url" ${2:+-- "$2"} >"$log"
	! grep -E 'Non-2xx|Socket errors' "$log" >&2 || die "wrk met errors at $url"
	awk '$1 == "Requests/sec:" { print $2 }' "$log"
}

# both RUN OURS PEER - runs two commands (of words without blanks); every second run the peer goes first.
both() {
	if (($1 % 2)); then $2; $3; else $3; $2; fi
}

# in_turn RUN NAME... - the names; every run begins with the next one.
in_turn() {
	local first=$((($1 - 1) % ($# - 1)))
	shift
	echo "${@:first + 1}" "${@:1:first}"
}

# random SIZE - incompressible bytes, faster than the kernel gives them.
random() {
	head -c "$1" /dev/zero |
		openssl enc -aes-256-ctr -nosalt -pbkdf2 -pass "pass:$RANDOM$RANDOM$RANDOM$EPOCHREALTIME"
}

# memory_file SIZE - makes source, a random file that reads without a disk.
memory_file() {
	source=$WORK/source
	if [ "$(df --output=avail -B1 /dev/shm | tail -n 1)" -gt $(($1 + GIB)) ]; then
		source=$(mktemp /dev/shm/restante-bench.XXXXXX)
		MEMORY_FILE=$source
	fi
	random "$1" >"$source"
}

# stamp FILE - makes it a blob nobody has seen.
stamp() { head -c 32 /dev/urandom | dd of="$1" conv=notrunc status=none; }

# settle - what earlier runs left dirty is not to be paid for by the next; and with QUIET=SECONDS it
# waits up to so long for half a second in which nobody else uses more than a tenth of the machine.
settle() {
	local until=$((SECONDS + ${QUIET:-0}))
	sync -f "$WORK"
	while ((SECONDS < until)) && ! quiet; do sleep 1; done
}

# settle_disk - and what earlier runs removed is not either: where the file system discards freed
# blocks, every fdatasync waits behind that, for seconds.
settle_disk() {
	local before i
	settle
	for ((i = 0; i < 20; i++)); do
		before=$(discards)
		sleep 0.5
		[ "$before" != "$(discards)" ] || return 0
	done
	note "the disk was still discarding freed blocks a minute later"
}
discards() { awk '{ n += $12 } END { print n + 0 }' /sys/block/*/stat; }

# quiet - true when the processors were idle for nine tenths of half a second.
quiet() {
	local a b
	a=$(cpu_times)
	sleep 0.5
	b=$(cpu_times)
	awk -v a="$a" -v b="$b" 'BEGIN { split(a, x); split(b, y); exit y[2] - x[2] < 0.9 * (y[1] - x[1]) }'
}
cpu_times() { awk '$1 == "cpu" { for (i = 2; i <= 9; i++) all += $i; print all, $5; exit }' /proc/stat; }

# status PID NAME - a line of /proc/PID/status, in KiB.
status() { awk -v n="$2:" '$1 == n { print $2 }' "/proc/$1/status"; }
