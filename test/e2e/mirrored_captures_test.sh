#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     each capture of mirrored/ --> net_pcap0 --> mirrorsink --> CAPTURE.pcapng
#
# Succeeds if for every capture
#  - mirrorsink ends with status 0 and a ledger that balances, with the fates that the judge finds;
#  - the frames are the judge's own decapsulation: count, bytes, order, original lengths, times;
#  - every frame stands under an interface named after its VNI.
# vxlan_port_8472.pcap is taken with --vxlan-port 8472.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_captures mirrored

cat >"$work/same.py" <<'END'
import collections
import sys
import judge

capture, out, summary, port = sys.argv[1:]
fates, frames = collections.Counter(), []
for packet in judge.read(capture).packets:
    try:
        found = judge.decapsulate(packet.data, vxlan_port=int(port))
    except judge.Fate as fate:
        fates[str(fate)] += 1
    else:
        fates["delivered"] += 1
        frames.append((found, packet.time))
judge.check_fates(judge.load(summary), fates)
after = judge.read(out)
judge.compare([p.data for p in after.packets], [found.frame for found, _ in frames], "frames")
for got, (found, time) in zip(after.packets, frames):
    judge.demand(after.name(got) == f"vni{found.vni}", "%s, VNI %d", after.name(got), found.vni)
    judge.demand(got.time == time, "time %d, expected %d", got.time, time)
    judge.demand(got.length == found.length, "original length %d, expected %d", got.length,
                 found.length)
names = [one.name for one in after.interfaces]
judge.demand(len(names) == len(set(names)), "an interface twice: %r", names)
END

seen=0
failed=()

# try CAPTURE RUN PORT
try()
{
	sink "$2" "--vdev=net_pcap0,rx_pcap=$1" -- --vxlan-port "$3" \
		-w "$work/$2.pcapng" -a idle:100 --summary "$work/$2.json" || return 1
	assert_ledger "$work/$2.json" || return 1
	check "$1" "$work/$2.pcapng" "$work/$2.json" "$3" <"$work/same.py"
}

for capture in "$captures"/mirrored/*.pcap; do
	run=$(basename "$capture" .pcap)
	port=4789
	[[ $run == vxlan_port_8472 ]] && port=8472
	try "$capture" "$run" "$port" || failed+=("$run")
	seen=$((seen + 1))
done
((${#failed[@]} == 0)) || fail "${#failed[@]} of $seen captures: ${failed[*]}"
((seen >= 25)) || fail "only $seen captures"
echo "$seen captures"
