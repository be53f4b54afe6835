# lib.sh - what the cases share: samples, notes, and servers in folders of their own (the peers' are
# in peers.sh). Sourced, not run. A case ends only what it started, by process id.
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
	rm -rf "$WORK" ${MEMORY_FILE:+"$MEMORY_FILE" "$MEMORY_FILE".*}
}
trap finish EXIT
trap 'exit 1' INT TERM

die() { echo "$CASE: $*" >&2; exit 1; }

# sample FIGURE RUN OURS [NAME=VALUE...] - what ours came to in this run, and each of those beside it
# (names as in tests/bench/targets; a bare value is that of "peer").
sample() {
	local figure=$1 run=$2 ours=$3 one
	shift 3
	printf '   %-22s run %s: ours %s %s\n' "$figure" "$run" "$ours" "$*" >&2
	for one in "ours=$ours" "$@"; do
		[[ $one = *=* ]] || one=peer=$one
		[ -n "${one#*=}" ] || die "$figure: no value in '$one'"
		printf '%s\t%s\t%s\t%s\n' "$figure" "$run" "${one%%=*}" "${one#*=}" >>"$OUT/$CASE.samples"
	done
}
# pairs ARRAY NAME... - NAME=VALUE for each name that the array has.
pairs() {
	local -n of=$1
	local name
	shift
	for name in "$@"; do [ -z "${of[$name]:-}" ] || echo "$name=${of[$name]}"; done
}
note() { echo "$*" >>"$OUT/$CASE.notes"; }

# told COMMAND... - runs it, and keeps its words for the report (ports, tokens, folders by name).
told() { tell "$@"; "$@"; }
tell() {
	local port=${server:-none}
	sed -E "s#$WORK#DIR#g; s#\b${port##*:}\b#PORT#g; s#$BIN/##g; s#(DIR/files)\.[0-9]+#\1#g; s#(127\.0\.0\.1):[0-9]+#\1:PORT#g; s#(/v1/media/)[A-Za-z0-9_.-]+#\1TOKEN#g; s#/dev/shm/restante-bench\.[A-Za-z0-9]+#/dev/shm/SOURCE#g" \
		<<<"${*@Q}" | sed -E "s#'([A-Za-z0-9_./:=+,@%-]+)'#\1#g; s#^(fan_out|hold_many) [0-9]+#\1 PORT#" >>"$OUT/$CASE.commands"
}

# quick A B - A for a quick look, else B.
quick() { if [ -n "${QUICK:-}" ]; then echo "$1"; else echo "$2"; fi; }

calc() { awk "BEGIN { printf \"%.6g\", $* }"; }

# stop PID - ends a server that this case started, and waits for its end.
stop() {
	local pid keep=()
	kill -TERM "$1"
	wait "$1" || :
	for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || keep+=("$pid"); done
	pids=("${keep[@]}")
}

# server_start DIR [SETTINGS [LAUNCHER...]] - a restanted with two loops; sets server_pid, server, and
# server_tls where the settings have listen_tls.
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
	server_tls=$(sed -n 's#^listening on \(https:.*[^/]\)/*$#\1#p' "$dir.out" | head -n 1)
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

# load SECONDS URL [WRK ARGUMENT...] - wrk's requests over 16 connections; fails on any error.
load() {
	local seconds=$1
	shift
	settle
	told wrk -t2 -c"${CONNECTIONS:-16}" -d"${seconds}s" --timeout 30s --latency "$@" >"$WORK/load"
	! grep -E 'Non-2xx|Socket errors' "$WORK/load" >&2 || die "wrk met errors: $*"
}
# loaded rate|mb|p99 - what the last load came to: requests a second, MB/s, ms.
loaded() {
	awk -v what="$1" '
	function number(v, units) { return v * units[substr(v, match(v, /[A-Za-z]/) ? RSTART : 99)] }
	BEGIN {
		b["B"] = 1; b["KB"] = 1024; b["MB"] = 1024 ^ 2; b["GB"] = 1024 ^ 3
		t["us"] = 0.001; t["ms"] = 1; t["s"] = 1000; t["m"] = 60000
	}
	what == "rate" && $1 == "Requests/sec:" { print $2 }
	what == "mb" && $1 == "Transfer/sec:" { print number($2, b) / 1e6 }
	what == "p99" && $1 == "99%" { print number($2, t) }' "$WORK/load"
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

# memory_file SIZE [COUNT] - makes source, a random file that reads without a disk, and source.1 to
# source.COUNT of the same bytes.
memory_file() {
	local i
	source=$WORK/source
	if [ "$(df --output=avail -B1 /dev/shm | tail -n 1)" -gt $(($1 * (${2:-0} + 1) + GIB)) ]; then
		source=$(mktemp /dev/shm/restante-bench.XXXXXX)
		MEMORY_FILE=$source
	fi
	random "$1" >"$source"
	for ((i = 1; i <= ${2:-0}; i++)); do cp "$source" "$source.$i"; done
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

# settle_disk [SECONDS] - and what earlier runs removed is not either: where the file system discards
# freed blocks, every fdatasync waits behind that, for seconds. Waits so long (10) at the most.
settle_disk() {
	local before i
	settle
	[ -z "$QUICK" ] || return 0
	for ((i = 0; i < 2 * ${1:-10}; i++)); do
		before=$(discards)
		sleep 0.5
		[ "$before" != "$(discards)" ] || return 0
	done
	note "the disk was still discarding freed blocks after ${1:-10} s, beside a figure of run ${run:-?}"
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
