# lib.sh - what the suites of the command share: a folder with a home of its own, a real server,
# promises in TAP. Sourced, not run. Ends only what it has started, by process id.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$top/${BUILD:-build/release}
[ -x "$build/restante" ] || { echo "Bail out! there is no $build/restante"; exit 1; }
dir=$(mktemp -d)
number=0 failed=0 pid='' url='' peer_pid='' peer=''
export HOME=$dir/home XDG_STATE_HOME=$dir/state XDG_CONFIG_HOME=$dir/config
unset RESTANTE_SERVER RESTANTE_GRANT COLUMNS http_proxy https_proxy all_proxy
state=$XDG_STATE_HOME/restante
mkdir -p "$HOME" "$XDG_CONFIG_HOME/restante" "$dir/bin"
ln -s "$build/restante" "$dir/bin/restante"
PATH=$dir/bin:$PATH
cd "$dir" || exit 1

finish() {
	[ -z "$peer_pid" ] || { kill "$peer_pid" && wait "$peer_pid"; } 2>/dev/null
	[ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

# ---- servers ----

# start [SETTINGS] - a server, on the port that the last one had; sets pid and url, and where the
# command looks for it.
start() {
	local listen=${url#http://}
	printf '%s\n' "${1:-}" >"$dir/server.conf"
	: >"$dir/server.out"
	"$build/restanted" --config "$dir/server.conf" --data-dir "$dir/store" --listen "${listen:-127.0.0.1:0}" \
		>"$dir/server.out" 2>"$dir/server.log" &
	pid=$!
	await 10 grep -q '^listening on' "$dir/server.out" || { echo "# no server"; cat "$dir/server.log"; exit 1; }
	url=$(sed -n 's/^listening on //p' "$dir/server.out")
	export RESTANTE_SERVER=$url
}
stop() { kill "$pid" && wait "$pid"; pid=; }

# start_peer ARGUMENTS... - another server (see there); sets peer, its address.
start_peer() {
	stop_peer
	: >"$dir/peer.out"
	python3 "$top/tests/command/peer.py" "$@" >"$dir/peer.out" 2>"$dir/peer.log" &
	peer_pid=$!
	await 10 grep -q '^http' "$dir/peer.out" || { echo "# no peer"; cat "$dir/peer.log"; exit 1; }
	peer=$(head -n 1 "$dir/peer.out")
}
stop_peer() { [ -z "$peer_pid" ] || { kill "$peer_pid"; wait "$peer_pid" 2>/dev/null; }; peer_pid=; }

metric() { curl -s --unix-socket "$dir/store/admin.sock" http://server/metrics | sed -n "s/^$1 //p"; }

# ---- promises ----

# keeps PROMISE COMMAND... - ok if it succeeds; else what it has said is the reason.
keeps() {
	local promise=$1
	shift
	number=$((number + 1))
	if "$@" >"$dir/said" 2>&1; then
		echo "ok $number - $promise"
	else
		echo "not ok $number - $promise"
		tail -n 30 "$dir/said" | sed 's/^/# /'
		failed=1
	fi
}
skip() { number=$((number + 1)); echo "ok $number - $1 # SKIP $2"; }
# seen PROMISE COMMAND... - keeps, where the machine can make a terminal.
seen() {
	if script -qec true /dev/null </dev/null >"$dir/said" 2>&1; then
		keeps "$@"
	else
		skip "$1" "no pseudo-terminal can be made here"
	fi
}
done_testing() { echo "1..$number"; exit $failed; }

# await SECONDS COMMAND... - until it succeeds; false if it never does.
await() {
	local ticks=$(($1 * 50))
	shift
	until "$@"; do
		ticks=$((ticks - 1))
		[ $ticks -gt 0 ] || return 1
		sleep 0.02
	done
}

# ends_with CODE COMMAND... - it ends so.
ends_with() {
	local want=$1 rc
	shift
	"$@"
	rc=$?
	[ $rc = "$want" ] || { echo "it ends with $rc, not $want: $*"; return 1; }
}
says() { grep -qF -e "$1" "$2" || { echo "it does not say: $1"; cat "$2"; return 1; }; }
says_not() { ! grep -F -e "$1" "$2"; }
is_empty() { [ ! -s "$1" ] || { echo "$1 is not empty:"; cat "$1"; return 1; }; }
nothing_left() { [ -z "$(ls -A "$state" 2>/dev/null)" ] || { ls -la "$state"; return 1; }; }

text() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$2"; } # text FIELD FILE
value() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$2"; }    # of a number

# ---- what is sent ----

random() { head -c "$1" /dev/urandom; }
make_wav() { ffmpeg -loglevel error -y -f lavfi -i "sine=frequency=300:duration=$1" -ar 48000 -ac 1 "$2" </dev/null; }

# slowly FILE PIECES - as a microphone would, over about a tenth of a second for each piece.
slowly() {
	local size=$(($(stat -c %s "$1") / $2 + 1)) i
	for ((i = 0; i < $2; i++)); do
		dd if="$1" bs="$size" skip="$i" count=1 status=none || return
		sleep 0.1
	done
}
