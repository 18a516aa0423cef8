#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a: VPC, load balancer               namespace b: target
#     +---------------------------------+           +-----------------------------------------+
#     | mirrorsource --as-fast ----+    |           |        rx lcore --> worker --> null     |
#     |                           a0 ---|-- veth ---|-- b0 <-+  ^                             |
#     | ping, ARP, NDP, HTTP, TCP -+    |           |           |  exception port             |
#     |                                 |           |        eni0, a tap: 10.9.0.2, fd00:9::2 |
#     +---------------------------------+           |           ^                             |
#                                                   |        mirrorctl health --listen ...    |
#                                                   +-----------------------------------------+
#
# The kernel of b says nothing on b0 itself, which is shown first, without an exception port.
#
# Succeeds if
#  - without -x a start says what is not answered, nothing is answered, and /mirrorsink/exception
#    has no ports; with -x it says which script sets the address;
#  - with mirror traffic as fast as the veth takes it: a hundred pings over IPv4, and over IPv6, have
#    no loss, the neighbour's MAC address is b0's, HTTP checks get 200, TCP checks a connection;
#  - when the worker's thread stands still the HTTP check gets 503 and the TCP check is refused
#    within 3 s; when it goes on they succeed again;
#  - each frame that comes out of the exception path, on eni0 or on a0, is one that went in at the
#    other end, byte by byte and in order, and next to none is missing;
#  - not_mirror is what went to the exception port, nothing of it was dropped there or on the way
#    back, and telemetry and mirrorctl have the summary's numbers; the ledgers balance;
#  - the script can be run twice, and takes all away again;
#  - with two rx lcores, for which the tap has two queues, whatever queue the kernel chooses for an
#    answer, it comes back.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command ping ethtool tcpdump dpdk-telemetry.py
[[ -c /dev/net/tun ]] || skip "no /dev/net/tun here"
wire
mac_b=02:00:00:00:00:02
setup=(ip netns exec "$space_b" "$root/scripts/exception-port.sh")

# A sender that leaves checksums to a NIC which veth is not would have them wrong on the tap.
ip netns exec "$space_a" ethtool -K a0 tx off >"$work/ethtool" || skip "no ethtool for veth here"
ip netns exec "$space_a" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/a0/disable_ipv6'
ip -n "$space_a" addr add 10.9.0.1/24 dev a0
ip -n "$space_a" addr add fd00:9::1/64 dev a0 nodad
ip -n "$space_b" link set lo up
ip netns exec "$space_b" sh -c 'echo 1 >/proc/sys/net/ipv4/conf/b0/arp_ignore
	echo 1 >/proc/sys/net/ipv4/conf/b0/rp_filter
	echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6'

check "$work/in.pcap" <<'END'
import random
import sys
import judge
import packets

judge.write_pcap(sys.argv[1], list(enumerate(packets.flow_frames(random.Random(3), 2000))))
END

# Without an exception port, and the address where the kernel might answer for it.
use_lcores 2
in_space=(ip netns exec "$space_b")
ip -n "$space_b" addr add 10.9.0.2/32 dev lo
sink_start without "$b0" -- --summary "$work/without.json"
in_space=()
grep -q 'net_af_packet0 has no exception port (-x): ARP, pings and health checks' \
	"$work/without.err" || fail "the start does not say what is not answered"
ip netns exec "$space_a" ping -q -c 3 -i 0.1 -W 0.3 10.9.0.2 >"$work/ping.out" &&
	fail "the kernel answers by itself: this test shows nothing"
telemetry without /mirrorsink/exception | grep -q '"ports": {}' || fail "ports of no -x"
stop "$pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/without.json"
ip -n "$space_b" addr del 10.9.0.2/32 dev lo

# The rx lcore has a processor for itself, as far as it is ours, and a ring that holds what comes
# while it has not. Worker and source share the other one.
first=${cpus[0]} other=${cpus[1]:-${cpus[0]}}
lcores=(--lcores "0@$other,1@$first,2@$other")
in_space=(ip netns exec "$space_b")
sink_start with "${b0/8192/32768}" --vdev=net_tap0,iface=eni0 -- -x net_tap0 -W 1 \
	--summary "$work/with.json"
sink_pid=$pid
in_space=()
grep -q 'exception port net_tap0 .* mirror port net_af_packet0.*exception-port.sh eni0' \
	"$work/with.err" || fail "the start does not say how to set the address"
for _ in 1 2; do
	"${setup[@]}" --wait 10 --gateway 10.9.0.1 eni0 10.9.0.2/24 fd00:9::2/64
done
ip -n "$space_b" -br link show eni0 | grep -q "$mac_b" ||
	fail "the tap has not b0's MAC address: $(ip -n "$space_b" -br link show eni0)"
assert_equal "$(ip -n "$space_b" rule | grep -c 'from 10.9.0.2 lookup 4789')" 1 "rules"
ip -n "$space_b" route get 192.0.2.1 from 10.9.0.2 | grep -q 'via 10.9.0.1 dev eni0' ||
	fail "what the target says does not leave by the gateway"

# What passes at both ends. At once, not a buffer at a time: what is in one when tcpdump has to end is
# gone.
captures_pids=()
for end in "$space_a a0" "$space_b eni0"; do
	ip netns exec "${end% *}" tcpdump -i "${end#* }" --immediate-mode -U \
		-s 0 -B 16384 \
		-w "$work/${end#* }.pcap" 'not udp port 4789' 2>"$work/${end#* }.tcpdump" &
	captures_pids+=($!)
	started+=($!)
done
for end in a0 eni0; do
	wait_for 10 grep -q listening "$work/$end.tcpdump" || fail "tcpdump does not start"
done
sleep 0.2 # a frame that only one of them has seen is past the other by then
both=$(date +%s%N)

in_space=(ip netns exec "$space_b")
listener with --listen 10.9.0.2:8080 --listen-tcp '[fd00:9::2]:8081'
listener_pid=$pid
lcores=(--lcores "0@$other,1@$other")
in_space=(ip netns exec "$space_a")
source_start source --vdev=net_af_packet0,iface=a0 "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
	-t net_af_packet0 --target-mac "$mac_b" --target-address 10.9.0.2 \
	--source-address 10.9.0.3 --vni 77 --as-fast --summary "$work/source.json"
source_pid=$pid

received()
{
	ip netns exec "$space_b" cat /sys/class/net/b0/statistics/rx_packets
}

flooding()
{
	(($(received) > 10000))
}
wait_for 20 flooding || fail "no mirror traffic"
before=$(received) begin=$(date +%s%N)

# pings ADDRESS COUNT [OPTIONS]: without loss; at the third try at the latest, since who else works on
# this machine can take the processors away for longer than the kernel's queues last.
pings()
{
	local address=$1 count=$2 try

	shift 2
	for try in 1 2 3; do
		"${in_space[@]}" ping -q -c "$count" -i 0.02 -W 5 "$@" "$address" \
			>"$work/ping.out" || true
		grep -q " $count received, 0% packet loss" "$work/ping.out" && return
		echo "try $try: pings to $address: $(tail -n 2 "$work/ping.out")" >&2
	done
	fail "pings to $address get lost"
}

for address in 10.9.0.2 fd00:9::2; do
	pings "$address" 100
	ip -n "$space_a" neigh show "$address" | grep -q "lladdr $mac_b" ||
		fail "neighbour: $(ip -n "$space_a" neigh show "$address")"
done
pings 10.9.0.2 20 -s 1400
answers http 10.9.0.2 8080 200 5 >"$work/answer" || fail "HTTP: $(cat "$work/answer")"
answers tcp fd00:9::2 8081 open 5 >"$work/answer" || fail "TCP: $(cat "$work/answer")"
rate=$((($(received) - before) * 1000 / (($(date +%s%N) - begin) / 1000000)))

freeze "$sink_pid" 2
for one in "http 10.9.0.2 8080 503" "tcp fd00:9::2 8081 refused"; do
	# shellcheck disable=SC2086 # words
	answers $one 3 >"$work/answer" || fail "frozen worker: $one: $(cat "$work/answer")"
	echo "frozen worker: $(cat "$work/answer") ms"
done
thaw
for one in "http 10.9.0.2 8080 200" "tcp fd00:9::2 8081 open"; do
	# shellcheck disable=SC2086 # words
	answers $one 5 >"$work/answer" || fail "worker goes on: $one: $(cat "$work/answer")"
done
grep -q 'not healthy: worker lcore 2 has not moved' "$work/listener.err" ||
	fail "mirrorctl does not say what is wrong"

alive "$source_pid" || fail "mirrorsource has ended"
stop "$source_pid" || fail "mirrorsource ends with status $?"
stop "$listener_pid" || fail "mirrorctl ends with status $?"

# all that is on the wire is received by now, or never
sleep 0.5
stop "${captures_pids[0]}" INT
stop "${captures_pids[1]}" INT
telemetry with /mirrorsink/exception >"$work/exception.json"
ctl with status --json >"$work/status.json"
ctl with status >"$work/status.txt"
"${setup[@]}" --remove eni0
[[ -z $(ip -n "$space_b" -br -4 addr show eni0 | awk '{print $3}') ]] || fail "addresses stay"
ip -n "$space_b" rule | grep -q 4789 && fail "rules stay"
stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/with.json"

check "$work" "$rate" "$both" <<'END'
import json
import sys
import judge

work, rate, both = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
OURS, THEIRS = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
ends = [judge.read(f"{work}/{end}.pcap").packets for end in ("a0", "eni0")]

for name, mac, way in (("to the kernel", THEIRS, 1), ("from the kernel", OURS, -1)):
    sent, came = ([one for one in end if one.data[6:12] == mac] for end in ends[::way])
    before, after = [one.data for one in sent], [one.data for one in came if one.time >= both]
    rest = iter(before)
    for i, frame in enumerate(after):
        judge.demand(frame in rest, "%s: frame %d is not one that went in: %s", name, i + 1,
                     frame.hex())
    judge.demand(len(after) >= 230 and len(after) >= 0.9 * len(before), "%s: %d of %d frames",
                 name, len(after), len(before))
    print(f"{name}: {len(after)} of {len(before)} frames, up to {max(map(len, after))} bytes")

summary = judge.load(f"{work}/with.json")
fates, exception = summary["fates"], summary["exception"]
judge.demand(fates["not_mirror"] == exception["sent"] + exception["dropped"], "%r, not_mirror %d",
             exception, fates["not_mirror"])
judge.demand(exception["dropped"] == exception["lost"] == 0, "%r", exception)
judge.demand(exception["sent"] >= 230 and exception["returned"] >= 230, "%r", exception)
judge.demand(fates["delivered"] > 10000, "%r", fates)
with open(f"{work}/exception.json", encoding="utf-8") as file:
    told = json.load(file)["/mirrorsink/exception"]
judge.demand(told.pop("ports") == {"0": {"name": "net_tap0", "mirror": "net_af_packet0"}}, "ports")
for name, count in told.items():
    judge.demand(0 <= exception[name] - count <= 20, "%s: %d, then %d", name, count,
                 exception[name])
status = judge.load(f"{work}/status.json")
judge.demand(status["health"]["healthy"] is True, "%r", status["health"])
judge.demand(status["ledger"]["fates"]["delivered"] == fates["delivered"], "%r", status["ledger"])
judge.demand(status["outputs"][0]["written"] == summary["outputs"][0]["written"], "outputs")
judge.demand([s["session"] for s in status["sessions"]] == ["vni77"], "%r", status["sessions"])
with open(f"{work}/status.txt", encoding="utf-8") as file:
    page = file.read()
for word in ("healthy\n", "received", "exception ports: ", "vni77", "net_af_packet0"):
    judge.demand(word in page, "status has no %r:\n%s", word, page)
source = judge.load(f"{work}/source.json")
judge.demand(source["balanced"] is True, "the source's ledger does not balance")
print(f"{rate} mirrored packets a second arrived meanwhile;",
      ", ".join(f"{name} {count}" for name, count in fates.items() if count))
END

# Two rx lcores: flows enough that the kernel uses both queues of the tap.
lcores=(--lcores "0@$other,1@$first,2@$other")
in_space=(ip netns exec "$space_b")
sink_start two "$b0,qpairs=2" --vdev=net_tap0,iface=eni0 -- -x net_tap0 -W 0 \
	--summary "$work/two.json"
sink_pid=$pid
"${setup[@]}" eni0 10.9.0.2/24
listener two --listen 10.9.0.2:8080
listener_pid=$pid
in_space=(ip netns exec "$space_a")
answers http 10.9.0.2 8080 200 5 >"$work/answer" || fail "HTTP: $(cat "$work/answer")"
"${in_space[@]}" "$python" - <<'END' || fail "answers do not come back"
import http.client

unanswered = 0
for _ in range(24):
    connection = http.client.HTTPConnection("10.9.0.2", 8080, timeout=1)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        unanswered += 1
    connection.close()
print(f"{unanswered} of 24 checks have no answer")
raise SystemExit(unanswered > 4)
END
stop "$listener_pid" || fail "mirrorctl ends with status $?"
stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/two.json"
