#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                                   namespace b
#     +------------------------------+              +------------------------------+
#     | in.pcap -> mirrorsource --+  |              |                              |
#     |                          a0 -|--- veth -----|- b0 --> mirrorsink --> out.pcapng
#     | kernel: ARP, ping --------+  |              |                              |
#     +------------------------------+              +------------------------------+
#
# The kernel of b has no address, so that it says nothing on the wire.
#
# Succeeds if
#  - all 2,000 frames of a paced run arrive, byte for byte and in order, no faster than the rate;
#  - what the kernel of a sends meanwhile (pings, ARP requests) is counted as not_mirror: exactly
#    the packets that b0 has received beyond the 2,000, and more than 0;
#  - both programs end with status 0, and the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
need_command ping
ip -n "$space_a" addr add 10.9.0.1/24 dev a0
ip -n "$space_a" neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev a0

seed=${SEED:-4}
echo "seed $seed"
check "$work/in.pcap" "$seed" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(int(sys.argv[2])), 2000)
judge.write_pcap(sys.argv[1], [(1_700_000_000 * judge.NS + i, f) for i, f in enumerate(frames)])
END

# What b0 has received so far.
arrived()
{
	ip netns exec "$space_b" cat /sys/class/net/b0/statistics/rx_packets
}

in_space=(ip netns exec "$space_b")
sink_start live "$b0" -- -w "$work/out.pcapng" --summary "$work/s.json"
sink_pid=$pid
before=$(arrived)

# pings go to an address whose MAC is known, and to one that nobody has: ICMP, and ARP in vain
ip netns exec "$space_a" ping -q -c 20 -i 0.02 -W 0.1 10.9.0.2 >"$work/ping.out" || true
ip netns exec "$space_a" ping -q -c 2 -i 0.2 -W 1 10.9.0.3 >>"$work/ping.out" 2>&1 &
started+=($!)
in_space=(ip netns exec "$space_a")
use_other_lcores
begin=$(date +%s%N)
source_run source --vdev=net_af_packet0,iface=a0 "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
	-t net_af_packet0 --target-mac 02:00:00:00:00:02 --target-address 10.9.0.2 \
	--source-address 10.9.0.1 --vni 77 --rate 2000 -a idle:200 --summary "$work/source.json"
took=$((($(date +%s%N) - begin) / 1000000))
in_space=()
wait "${started[-1]}" || true

# all that is on the wire is received by now, or never
sleep 0.3
after=$(arrived)
stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/s.json"

check "$work" $((after - before)) "$took" <<'END'
import sys
import judge

work, wire, took = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
want = [p.data for p in judge.read(f"{work}/in.pcap").packets]
after = judge.read(f"{work}/out.pcapng")
judge.compare([p.data for p in after.packets], want, "live")
judge.demand({after.name(p) for p in after.packets} == {"vni77"}, "%r", after.interfaces)
times = [p.time for p in after.packets]
judge.demand(times == sorted(times), "timestamps go back")
spread = (times[-1] - times[0]) / 1e6
judge.demand(spread >= 900, "2,000 frames at 2,000 a second took %d ms", spread)
judge.demand(took >= 1000, "the source ended after %d ms", took)
sent = judge.load(f"{work}/source.json")
judge.demand(sent["fates"]["mirrored"] == 2000 and sent["balanced"], "sent: %r", sent)
summary = judge.load(f"{work}/s.json")
print(f"{wire} packets on the wire, {summary['fates']['not_mirror']} of them no mirror traffic")
judge.check_fates(summary, {"delivered": 2000, "not_mirror": wire - 2000})
judge.demand(summary["fates"]["not_mirror"] >= 21, "20 pings and an ARP request were sent")
session = summary["sessions"]
judge.demand(len(session) == 1 and session[0]["source"] == "10.9.0.1", "sessions: %r", session)
judge.demand(session[0]["packets"] == 2000, "sessions: %r", session)
END
