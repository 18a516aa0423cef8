#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                     +-- io_faults.so: one write in some fails --> out.pcapng, -2, ...
#     in.pcap --> net_pcap0 --> mirrorsink
#                                     +-- /dev/null as pcap: it loses nothing
#
# Succeeds if, through io_uring, without it, and when it stops in mid-run,
#  - mirrorsink runs to its end, and the ledger balances;
#  - after a failed write the next file is opened; frames lost are counted as io_error, and those
#    that are counted as written are all in the files, no more and no less, as capinfos counts;
#  - where fdatasync fails as well, no more are counted as written than the files hold;
#  - it says which way it writes, and why not the other.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command capinfos
faults=$build/test/e2e/libio_faults.so
[[ -e $faults ]] || skip "no $faults here: it needs liburing-dev"

# what a sanitizer needs comes first
preload=$faults
for library in libasan libtsan; do
	if ldd "$MIRRORSINK" | grep -q "$library"; then
		preload="$(ldd "$MIRRORSINK" | awk "/$library/ {print \$3}") $faults"
	fi
done

frames=200000
check "$work" "$frames" <<'END'
import random
import sys
import judge
import packets

base = packets.flow_frames(random.Random(3), 500)
judge.write_pcap(f"{sys.argv[1]}/in.pcap",
                 [(i * 1000, packets.mirror(base[i % 500], 64 + i % 3))
                  for i in range(int(sys.argv[2]))])
END

count() # frames in all files, as capinfos reads them
{
	local file n=0 one

	for file in "$work"/out/*.pcapng; do
		one=$(capinfos -T -r -M -c "$file" 2>"$work/capinfos.err" | cut -f 2)
		n=$((n + ${one:-0}))
	done
	echo "$n"
}

# fails WORDS PATTERN: a run in which these fail; PATTERN is what it says of its way.
fails()
{
	local status=0

	rm -rf "$work/out"
	mkdir "$work/out"
	cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "out", "Type": "pcapng", "Path": "$work/out/out.pcapng", "RotateBytes": "3MiB"},
  {"Name": "null", "Type": "pcap", "Path": "/dev/null"}
]}
END
	program_line "$MIRRORSINK" "errors" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
		-c "$work/c.json" -a idle:500 --summary "$work/s.json"
	env LD_PRELOAD="$preload" IO_FAULTS="$1" SEED="${SEED:-1}" timeout -k 5 60 \
		"${line[@]}" >"$work/errors.out" 2>"$work/errors.err" || status=$?
	((status == 0 || status == 1)) || fail "$1: status $status"
	assert_ledger "$work/s.json"
	grep -Eq "$2" "$work/errors.err" || fail "$1: does not say: $2"
	assert_equal "$(get "$work/s.json" fates.delivered)" "$frames" "$1: delivered"
	assert_equal "$(get "$work/s.json" outputs.1.written)" "$frames" "$1: written to null"
	written=$(get "$work/s.json" outputs.0.written)
	lost=$(get "$work/s.json" outputs.0.dropped.io_error)
	found=$(count)
	assert_equal "$((written + lost))" "$frames" "$1: written and lost"
	echo "$1: $written written, $lost lost, $found in $(find "$work/out" -name "*.pcapng" | wc -l) files"
}

for words in "write:9" "write:9 plain"; do
	case $words in
	*plain) fails "$words" 'no io_uring \(Operation not permitted\)' ;;
	*) fails "$words" 'direct I/O, io_uring|no direct I/O' ;;
	esac
	((lost > 0)) || fail "$words: nothing failed"
	assert_equal "$found" "$written" "$words: frames in the files"
	((written > frames / 2)) || fail "$words: it did not go on"
done
for words in "write:15 sync:3" "write:15 sync:3 plain"; do
	fails "$words" 'output out: '
	((lost > 0)) || fail "$words: nothing failed"
	((found >= written)) || fail "$words: $written written, but $found in the files"
done
fails "submit" 'output out: '
assert_equal "$written" "$frames" "submit: written"
assert_equal "$found" "$frames" "submit: frames in the files"
