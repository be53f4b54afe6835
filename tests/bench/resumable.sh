# resumable.sh - resumable uploads to all servers that take the protocol, in turn. Sourced behind
# lib.sh and peers.sh. HOW is what tells tus_many the protocol, SERVERS are who takes it.
declare -A rate p99

# upload_to NAME BYTES CLIENTS LIMIT... - to a server of its own; sets rate[NAME] and p99[NAME].
upload_to() {
	local server pid endpoint said name=$1 bytes=$2 clients=$3
	shift 3
	"${name}_start" "$WORK/run/$name"
	"$BIN/tus_many" "${HOW[@]}" -n 1 "$(tus_port)" "$endpoint" $((16 * MIB)) 1 >/dev/null # it is awake
	settle_disk
	said=$(told "$BIN/tus_many" "${HOW[@]}" "$@" "$(tus_port)" "$endpoint" "$bytes" "$clients")
	rate[$name]=${said% *} p99[$name]=${said#* }
	stop "$pid"
}

# What the disk takes, of as much: sets rate[dd], MB/s.
dd_sync() {
	local log
	settle_disk
	log=$(told dd if="$source" of="$WORK/run/copy" bs=1M conv=fdatasync 2>&1)
	rate[dd]=$(calc "$SIZE / $(sed -n 's/.*copied, \([0-9.e-]*\) s,.*/\1/p' <<<"$log") / 1e6")
}

# large_ones FIGURE - one upload of 1 GiB; what is written lies there until all have had their turn.
large_ones() {
	local run name
	SIZE=${SIZE:-$(quick $((256 * MIB)) $GIB)}
	memory_file "$SIZE"
	for ((run = 1; run <= RUNS; run++)); do
		mkdir "$WORK/run"
		for name in $(in_turn $run "${SERVERS[@]}" dd); do
			if [ "$name" = dd ]; then dd_sync; continue; fi
			upload_to "$name" "$SIZE" 1 -n 1
			rate[$name]=$(calc "${rate[$name]} * $SIZE / 1e6")
		done
		rm -rf "$WORK/run"
		sample "$1" $run "${rate[ours]}" $(pairs rate "${SERVERS[@]:1}" dd)
	done
}

# small_ones FIGURE - uploads of 100 KB by 64 clients at once.
small_ones() {
	local run name
	for ((run = 1; run <= RUNS; run++)); do
		mkdir "$WORK/run"
		for name in $(in_turn $run "${SERVERS[@]}"); do
			upload_to "$name" $((100 * KIB)) 64 -t "${SECONDS_EACH:-$(quick 1 3)}" -n 6000
		done
		rm -rf "$WORK/run"
		sample "$1" $run "${rate[ours]}" $(pairs rate "${SERVERS[@]:1}")
		sample "$1-p99" $run "${p99[ours]}" $(pairs p99 "${SERVERS[@]:1}")
	done
}
