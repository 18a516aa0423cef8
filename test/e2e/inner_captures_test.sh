#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     captures of inner/ --> mirrorsource --> mirrored.pcap --> mirrorsink --> out.pcapng
#
# The captures are taken some dozens at a time, one after the other in one run, since programs take
# longer to start than to mirror one of them; a batch that fails is told by the capture where it
# first differs, and its captures are then tried one by one. Two batches run at a time.
#
# Succeeds if of every capture
#  - every frame arrives, in order, byte for byte, with its timestamp;
#  - its original length is what its IP header says, or its captured length if that is more;
#  - both programs end with status 0, and all ledgers balance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_captures inner
batches=12

# Joins captures: join.py OUT CAPTURE...
cat >"$work/join.py" <<'END'
import sys
import judge

packets = []
for path in sys.argv[2:]:
    packets += [(p.time, p.data) for p in judge.read(path, strict=False).packets]
judge.write_pcap(sys.argv[1], packets)
END

# Compares: same.py OUT SUMMARY CAPTURE...
cat >"$work/same.py" <<'END'
import os
import sys
import judge

out, summary, *captures = sys.argv[1:]
after, at = judge.read(out).packets, 0
numbers = judge.load(summary)
judge.check_ledger(numbers)
for path in captures:
    name = os.path.basename(path)
    for i, want in enumerate(judge.read(path, strict=False).packets):
        where = f"{name}, frame {i + 1}"
        judge.demand(at < len(after), "%s: is missing, as all after it", where)
        got = after[at]
        judge.demand(got.data == want.data, "%s: is\n%s, expected\n%s", where, got.data.hex(),
                     want.data.hex())
        judge.demand(got.time == want.time, "%s: time %d, expected %d", where, got.time, want.time)
        length = judge.original_length(want.data)
        judge.demand(got.length == length, "%s: original length %d, expected %d", where,
                     got.length, length)
        at += 1
judge.demand(at == len(after), "%d frames more than there were", len(after) - at)
judge.check_fates(numbers, {"delivered": at})
END

# mirror RUN CAPTURE...: there and back.
mirror()
{
	local run=$1

	shift
	check "$work/$run.in.pcap" "$@" <"$work/join.py" || return 1
	source_run "$run-source" "--vdev=net_pcap0,rx_pcap=$work/$run.in.pcap" -- \
		-w "$work/$run.pcap" -a idle:100 || return 1
	sink "$run-sink" "--vdev=net_pcap0,rx_pcap=$work/$run.pcap" -- \
		-w "$work/$run.pcapng" -a idle:100 --summary "$work/$run.json" || return 1
	check "$work/$run.pcapng" "$work/$run.json" "$@" <"$work/same.py"
}

# lane N: every second batch from N on. Names of captures that fail go to $work/failed.
lane()
{
	local i j one batch

	# the rx lcore of one lane beside the main lcore, which sleeps, of the other
	lcores=(--lcores "0@${cpus[$1]:-${cpus[0]}},1@${cpus[1 - $1]:-${cpus[0]}}")
	for ((i = $1; i < batches; i += 2)); do
		batch=()
		for ((j = i; j < ${#all[@]}; j += batches)); do
			batch+=("${all[j]}")
		done
		mirror "batch$i" "${batch[@]}" && continue
		for one in "${batch[@]}"; do
			mirror "one$i" "$one" 2>"$work/one$i.log" && continue
			{
				basename "$one"
				cat "$work/one$i.log"
			} >>"$work/failed"
		done
		echo "batch $i" >>"$work/failed"
	done
}

all=("$captures"/inner/*)
lane 0 &
first=$!
lane 1 &
second=$!
started+=("$first" "$second")
wait "$first"
wait "$second"
if [[ -s $work/failed ]]; then
	cat "$work/failed" >&2
	fail "captures that did not come back as they went"
fi
echo "${#all[@]} captures"
