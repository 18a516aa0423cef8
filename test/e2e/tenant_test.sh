#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                +--> plain, and a file       as they were
#     net_pcap0 --> mirrorsink --+--> vlan, qinq              one tag, two tags
#     two tenants, the           +--> kept, given             wrapped again: IPv4 with the own
#     same frames in both        |                            VNI, IPv6 with VNI 7
#                                +--> t0, t1, t2 --> tcpdump  taps
#
#     mirrorsink --(file, or a0 --veth-- b0)--> mirrorsink --> second.pcapng
#
# Succeeds if
#  - for -W 0, 1 and 2 all outputs at once get all frames, in the order of each flow: without the
#    tag, or the outer headers, bit by bit what the source mirrored; the tag is that of its session,
#    as summary, report and telemetry show it; tshark and scapy read the same;
#  - a second sink that gets what the first one wrapped, from a file or live, tells the same sessions
#    by (source, VNI), strictly checked, and has the same frames; both directions of a flow have one
#    source port, and all flows have several;
#  - TargetMtu cuts frames, and tshark sees no malformed outer headers;
#  - 4,095 sessions to one output are refused for vlan, at the start, by --check, and at a reload,
#    which leaves the rules as they were; they are accepted by qinq, and where routes lead no more
#    than 4,094 there; the tags of later sessions are right;
#  - of learned sessions those beyond 4,094 are no_tag, frames cut within their MAC addresses
#    too_short, frames too long for a tap with their mark port_length: exactly these, and no others;
#  - every ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark
"$python" -c 'import scapy' 2>/dev/null || skip "no scapy here"

seed=${SEED:-11}
echo "seed $seed"
check "$work" "$seed" <<'END'
import random
import sys
import judge
import packets

work, chance = sys.argv[1], random.Random(int(sys.argv[2]))


def write(name, frames):
    """Each frame from both tenants, whose networks are the same."""
    made = []
    for frame in frames:
        for vni, source in (100, "10.1.0.10"), (200, "10.1.0.20"):
            made.append((1_700_000_000 * judge.NS + len(made) * 1000,
                         packets.mirror(frame, vni, source)))
    judge.write_pcap(f"{work}/{name}.pcap", made)


frames = packets.flow_frames(chance, 1000)
tagged = packets.ether(bytes(range(64)), 0x88B5, tags=((0x88A8, 5), (0x8100, 6)))
write("in", frames + [tagged, tagged[:12], packets.arp("10.2.0.1", "10.2.0.2")])
write("short", [frames[0][:n] for n in range(1, 15)])
# with IP packets of 1500 bytes: 1,514, and with a tag of their own 1,518
long = packets.ipv4(packets.udp(bytes(1472), 1, 2), packets.UDP, "10.2.0.1", "10.3.0.1")
write("long", [packets.ether(long, 0x0800), packets.ether(long, 0x0800, tags=((0x8100, 5),))])
END
input=--vdev=net_pcap0,rx_pcap=$work/in.pcap

# Takes marks away again.
cat >"$work/marks.py" <<'END'
import glob
import ipaddress
import struct

import judge


def frames(capture):
    """[(VNI, frame)] as they are mirrored."""
    inner = [judge.decapsulate(p.data) for p in judge.read(capture).packets]
    return [(one.vni, one.frame) for one in inner]


def sent(work, name):
    """What an output sent, of all lanes."""
    return [p.data for path in sorted(glob.glob(f"{work}/{name}-*.pcap"))
            for p in judge.read(path).packets]


def untag(packet, tpids):
    """(VLAN ids, frame) of a frame with tags of these types."""
    ids, at = [], 12
    for tpid in tpids:
        kind, tci = struct.unpack_from("!HH", packet, at)
        judge.demand(kind == tpid and 0 < tci < 4095, "tag %04x %d", kind, tci)
        ids.append(tci)
        at += 4
    return tuple(ids), packet[:12] + packet[at:]


def unwrap(packet, source, target, port=4789):
    """((VNI, source port), frame); the headers around it have to be whole."""
    inner = judge.decapsulate(packet, vxlan_port=port)
    judge.demand(inner.source == ipaddress.ip_address(source).packed, "source %r", inner.source)
    head = len(packet) - len(inner.frame)
    judge.demand(head == (70 if ":" in source else 50), "%d bytes of headers", head)
    if head == 50:
        judge.demand(sum(struct.unpack_from("!10H", packet, 14)) % 0xFFFF == 0, "IPv4 checksum")
    end = ipaddress.ip_address(target).packed
    judge.demand(packet[head - 16 - len(end) : head - 16] == end, "target")
    sport, dport, length, checksum = struct.unpack_from("!HHHH", packet, head - 16)
    judge.demand(dport == port and length == len(packet) - head + 16, "%d %d", dport, length)
    judge.demand(sport >= 0xFF80 and checksum == 0, "port %d, checksum %d", sport, checksum)
    return (inner.vni, sport), inner.frame


def same(got, want, what, ordered):
    judge.demand(len(got) == len(want), "%s: %d frames, expected %d", what, len(got), len(want))
    if not ordered:
        got, want = sorted(got), sorted(want)
    for i, (a, b) in enumerate(zip(got, want)):
        judge.demand(a == b, "%s: frame %d is %r, expected %r", what, i, a, b)


def drops(output, expected):
    got = {name: n for name, n in output["dropped"].items() if n}
    judge.demand(got == expected, "%r", output)
END
export PYTHONPATH=$here:$work

wrap4='"TargetAddress": "10.9.0.2", "SourceAddress": "10.9.0.1"'
cat >"$work/all.json" <<END
{"Outputs": [
	{"Name": "file", "Type": "pcapng", "Path": "$work/file-{worker}.pcapng", "Frame": "outer"},
	{"Name": "vlan", "Type": "port", "Port": "net_pcap1", "Tenant": "vlan"},
	{"Name": "kept", "Type": "port", "Port": "net_pcap2", "Tenant": "vxlan", "Vxlan": {$wrap4,
	 "TargetMac": "02:00:00:00:09:02", "SourceMac": "02:00:00:00:09:01"}},
	{"Name": "plain", "Type": "port", "Port": "net_pcap3"},
	{"Name": "qinq", "Type": "port", "Port": "net_pcap4", "Tenant": "qinq"},
	{"Name": "given", "Type": "port", "Port": "net_pcap5", "Tenant": "vxlan", "Vxlan":
	 {"TargetAddress": "2001:db8::2", "SourceAddress": "2001:db8::1", "VirtualNetworkId": 7,
	  "UdpPort": 8472}}
]}
END
for workers in 2 1 0; do
	use_lcores $((workers + 2))
	rm -f "$work"/{file,vlan,kept,plain,qinq,given}-*
	ports=() number=0
	for output in vlan kept plain qinq given; do
		number=$((number + 1)) one=net_pcap$number
		for ((i = 0; i == 0 || i < workers; i++)); do
			one+=,tx_pcap=$work/$output-$i.pcap
		done
		ports+=("--vdev=$one")
	done
	sink all "$input" "${ports[@]}" -- -W "$workers" -c "$work/all.json" -a idle:100 \
		--summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work" "$workers" <<-'END'
		import glob, sys, judge, marks, packets
		work, ordered = sys.argv[1], int(sys.argv[2]) < 2
		summary, want = judge.load(f"{work}/s.json"), marks.frames(f"{work}/in.pcap")
		for output in summary["outputs"]:
		    judge.demand(output["written"] == len(want), "%r", output)
		ids = {one["vni"]: (one["vlan_outer"], one["vlan"]) for one in summary["sessions"]}
		judge.demand(sorted(ids.values()) == [(1, 1), (1, 2)], "%r", ids)

		def flows(got, what):
		    """The frames of each flow are in order; what is beside them, of each flow."""
		    last, found = {}, {}
		    for (tenant, rest), frame in got:
		        if frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
		            flow, at = packets.flow_of(frame)
		            judge.demand(last.get((tenant, flow), -1) + 1 == at, "%s: %d", what, at)
		            last[tenant, flow] = at
		            found.setdefault(flow, set()).add(rest)
		    return found

		for name, tpids, key in (
		    ("plain", (), lambda two: ()),
		    ("vlan", (0x8100,), lambda two: two[1:]),
		    ("qinq", (0x88A8, 0x8100), lambda two: two),
		):
		    got = [marks.untag(p, tpids) for p in marks.sent(work, name)]
		    marks.same(got, [(key(ids[vni]), frame) for vni, frame in want], name, ordered)
		    if tpids:
		        flows([((tags, 0), frame) for tags, frame in got], name)
		for name, source, target, vni, port, macs in (
		    ("kept", "10.9.0.1", "10.9.0.2", None, 4789, "020000000902020000000901"),
		    ("given", "2001:db8::1", "2001:db8::2", 7, 8472, "ffffffffffff"),
		):
		    sent = marks.sent(work, name)
		    judge.demand(all(p.hex().startswith(macs) for p in sent), "%s: MAC addresses", name)
		    got = [marks.unwrap(p, source, target, port) for p in sent]
		    marks.same([(key[0], frame) for key, frame in got],
		               [(vni or one, frame) for one, frame in want], name, ordered)
		    if not vni:
		        sports = flows(got, name).values()
		        judge.demand(all(len(one) == 1 for one in sports), "%r", sports)
		        judge.demand(len(set.union(*sports)) > 10, "%r", sports)
		raw = [p.data for p in judge.read(f"{work}/in.pcap").packets]
		kept = [p.data for path in sorted(glob.glob(f"{work}/file-*"))
		        for p in judge.read(path).packets]
		marks.same(kept, raw, "file", ordered)
	END
done
use_lcores 2
grep -Eq '^vni200 .* 1\.2$' "$work/all.out" || fail "the report does not show VLAN ids"

# Others see the same in it: tshark the ids, scapy the frames behind them.
fields()
{
	tshark -r "$work/$1-0.pcap" -T fields -E occurrence=f "${@:2}" 2>/dev/null | sort | uniq -c | xargs
}
assert_equal "$(fields vlan -e eth.type -e vlan.id)" "1003 0x8100 1 1003 0x8100 2" \
	"vlan.id in tshark"
assert_equal "$(fields qinq -e eth.type -e ieee8021ad.id -e vlan.id)" \
	"1003 0x88a8 1 1 1003 0x88a8 1 2" "ieee8021ad.id and vlan.id in tshark"
assert_equal "$(fields kept -e ip.src -e ip.dst -e vxlan.vni)" \
	"1003 10.9.0.1 10.9.0.2 100 1003 10.9.0.1 10.9.0.2 200" "vxlan.vni in tshark"
assert_equal "$(tshark -r "$work/kept-0.pcap" -o ip.check_checksum:TRUE \
	-Y 'ip.checksum.status == "Bad"' 2>/dev/null | wc -l)" 0 "bad checksums in tshark"
check "$work" <<'END'
import sys
import judge
from scapy.all import Dot1AD, Dot1Q, Ether, VXLAN, raw, rdpcap

work = sys.argv[1]
plain, vlan, qinq, kept = (
    rdpcap(f"{work}/{name}-0.pcap") for name in ("plain", "vlan", "qinq", "kept")
)
for i, frame in enumerate(map(raw, plain)):
    if len(frame) < 14:
        continue
    judge.demand(vlan[i][Dot1Q].vlan == qinq[i][Dot1Q].vlan == i % 2 + 1, "%r", qinq[i])
    judge.demand(qinq[i][Dot1AD].vlan == 1, "%r", qinq[i])
    for marked, tag in (vlan[i], vlan[i][Dot1Q]), (qinq[i], qinq[i][Dot1Q]):
        again = Ether(dst=marked.dst, src=marked.src, type=tag.type) / raw(tag.payload)
        judge.demand(raw(again) == frame, "scapy: frame %d is another one", i)
    judge.demand(kept[i][VXLAN].vni == 100 + i % 2 * 100, "%r", kept[i])
    judge.demand(raw(kept[i][VXLAN].payload) == frame, "scapy: frame %d is another one", i)
END

# A chain: the second sink finds by source and VNI what the first one has wrapped.
cat >"$work/second.json" <<'END'
{
	"TrafficMirrorSessions": [
		{"TrafficMirrorSessionId": "tms-a", "NetworkInterfaceId": "eni-1", "VirtualNetworkId": 100},
		{"TrafficMirrorSessionId": "tms-b", "NetworkInterfaceId": "eni-1", "VirtualNetworkId": 200}
	],
	"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.9.0.1"}],
	"SourceCheck": "strict"
}
END
chained()
{
	assert_ledger "$work/second.summary"
	check "$work" <<-'END'
		import sys, judge, marks
		work = sys.argv[1]
		want, after = marks.frames(f"{work}/in.pcap"), judge.read(f"{work}/second.pcapng")
		summary = judge.load(f"{work}/second.summary")
		judge.check_fates(summary, {"delivered": len(want)})
		for vni, name in (100, "tms-a"), (200, "tms-b"):
		    judge.compare([p.data for p in after.by_name(name)],
		                  [frame for one, frame in want if one == vni], name)
	END
}
second=(-W 0 -c "$work/second.json" -w "$work/second.pcapng" --summary "$work/second.summary")
sink second "--vdev=net_pcap0,rx_pcap=$work/kept-0.pcap" -- "${second[@]}" -a idle:100
chained
sink seven "--vdev=net_pcap0,rx_pcap=$work/given-0.pcap" -- -W 0 --vxlan-port 8472 \
	-w "$work/seven.pcapng" -a idle:100 --summary "$work/s.json"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys, judge, marks
work = sys.argv[1]
judge.compare([p.data for p in judge.read(f"{work}/seven.pcapng").by_name("vni7")],
              [frame for _, frame in marks.frames(f"{work}/in.pcap")], "vni7")
END

# Of 100 bytes of IP packet 36 are headers.
cat >"$work/cut.json" <<END
{"Outputs": [{"Name": "on", "Type": "port", "Port": "net_pcap1", "Tenant": "vxlan",
	"Vxlan": {$wrap4, "TargetMtu": 100}}]}
END
sink cut "$input" "--vdev=net_pcap1,tx_pcap=$work/cut-0.pcap" -- -W 0 -c "$work/cut.json" \
	-a idle:100 --summary "$work/s.json"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys, judge, marks
work = sys.argv[1]
got = [marks.unwrap(p, "10.9.0.1", "10.9.0.2") for p in marks.sent(work, "cut")]
marks.same([(key[0], frame) for key, frame in got],
           [(vni, frame[:64]) for vni, frame in marks.frames(f"{work}/in.pcap")], "cut", True)
END

# sessions COUNT OUTPUTS [ROUTES]: a configuration, whose session N has VNI N.
sessions()
{
	check "$@" <<-'END'
		import json, sys
		count, outputs, *routes = sys.argv[1:]
		print(json.dumps({
		    "Outputs": json.loads(outputs),
		    "TrafficMirrorSessions": [
		        {"TrafficMirrorSessionId": f"tms-{i}", "VirtualNetworkId": i}
		        for i in range(1, int(count) + 1)
		    ],
		    **({"Routes": json.loads(routes[0])} if routes else {}),
		}))
	END
}
vlan='{"Name": "ids", "Type": "port", "Port": "net_pcap1", "Tenant": "vlan"}'
qinq=${vlan/vlan/qinq}
count='{"Name": "count", "Type": "null"}'
routes='[{"Outputs": ["count"]}, {"VirtualNetworkId": 4094, "Outputs": ["ids"]}]'
sessions 4000 "[$vlan]" >"$work/4000.json"
sessions 4094 "[$vlan]" >"$work/4094.json"
sessions 4095 "[$vlan]" >"$work/4095.json"
sessions 5000 "[$qinq]" >"$work/qinq.json"
sessions 5000 "[$vlan, $count]" "$routes" >"$work/led.json"
sessions 5000 "[$vlan, $count]" "${routes/4094/4095}" >"$work/misled.json"
check "$work" <<'END'
import sys, judge, packets

for name, vnis in ("many", (1, 4094, 4095, 5000)), ("learned", range(1, 4201)):
    made = []
    for vni in vnis:
        frame = packets.ether(vni.to_bytes(4, "big") + bytes(60), 0x88B5)
        made.append((1_700_000_000 * judge.NS, packets.mirror(frame, vni)))
    judge.write_pcap(f"{sys.argv[1]}/{name}.pcap", made)
END
many=("--vdev=net_pcap0,rx_pcap=$work/many.pcap" "--vdev=net_pcap1,tx_pcap=$work/many-0.pcap")

mkdir -p "$work/refused/out"
cd "$work/refused"
refuse sink "4,095 sessions" 'output ids: no VLAN id .* 1 of 4095 sessions, tms-4095 .*"qinq"' -- \
	--vdev=net_null0 -- -c "$work/4095.json" -w out/precious.pcapng
refuse sink "4,095 sessions, --check" 'output ids: no VLAN id .* 1 of 4095 sessions' -- \
	-- --check -c "$work/4095.json"
refuse sink "a route to a session without id" 'output ids: .* 1 of 5000 sessions, tms-4095 ' -- \
	-- --check -c "$work/misled.json"
refused_all
cd "$work"
for accepted in 4094 qinq led; do
	sink "$accepted" -- --check -c "$work/$accepted.json"
done

sink qinq "${many[@]}" -- -W 0 -c "$work/qinq.json" -a idle:100 --summary "$work/s.json"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys, judge, marks
work = sys.argv[1]
got = [marks.untag(p, (0x88A8, 0x8100)) for p in marks.sent(work, "many")]
got = [(ids, int.from_bytes(frame[14:18], "big")) for ids, frame in got]
want = [((1, 1), 1), ((1, 4094), 4094), ((2, 1), 4095), ((2, 906), 5000)]
judge.demand(got == want, "%r", got)
for i, one in enumerate(judge.load(f"{work}/s.json")["sessions"]):
    ids = one["vlan_outer"], one["vlan"]
    judge.demand(ids == (i // 4094 + 1, i % 4094 + 1), "session %d: %r", i, ids)
END
sink led "${many[@]}" -- -W 0 -c "$work/led.json" -a idle:100 --summary "$work/s.json"
assert_ledger "$work/s.json"
assert_equal "$(fields many -e vlan.id)" "1 4094" "tag of the session that is led there"

# Drops, each for its reason.
echo "{\"Outputs\": [$vlan]}" >"$work/vlan.json"
sink learned "--vdev=net_pcap0,rx_pcap=$work/learned.pcap" \
	"--vdev=net_pcap1,tx_pcap=$work/learned-0.pcap" -- -W 0 -c "$work/vlan.json" -a idle:100 \
	--summary "$work/s.json"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys, judge, marks
work = sys.argv[1]
summary = judge.load(f"{work}/s.json")
judge.check_fates(summary, {"delivered": 4200})
marks.drops(summary["outputs"][0], {"no_tag": 106})
got = [marks.untag(p, (0x8100,)) for p in marks.sent(work, "learned")]
judge.demand([ids[0] for ids, _ in got] == list(range(1, 4095)), "ids are not in order")
judge.demand(all(int.from_bytes(f[14:18], "big") == ids[0] for ids, f in got), "another's id")
shown = ["vlan" in one for one in summary["sessions"]]
judge.demand(shown == [True] * 4094 + [False] * 106, "ids in the summary")
END
sink short "--vdev=net_pcap0,rx_pcap=$work/short.pcap" \
	"--vdev=net_pcap1,tx_pcap=$work/short-0.pcap" -- -W 0 -c "$work/vlan.json" -a idle:100 \
	--summary "$work/s.json"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys, judge, marks
work = sys.argv[1]
marks.drops(judge.load(f"{work}/s.json")["outputs"][0], {"too_short": 22})
got = [marks.untag(p, (0x8100,))[1] for p in marks.sent(work, "short")]
want = [frame for _, frame in marks.frames(f"{work}/short.pcap")]
judge.compare(got, [frame for frame in want if len(frame) >= 12], "short")
END

# While it runs: the map, and reloads.
complains()
{
	grep -Eq "$1" "$work/live.err"
}
reload()
{
	cp "$work/$1.json" "$work/live.json"
	kill -HUP "$pid"
	wait_for 20 complains "$2" || fail "after a reload with $1.json it does not say: $2"
}
cp "$work/4000.json" "$work/live.json"
sink_start live --vdev=net_ring0 "--vdev=net_pcap1,tx_pcap=$work/live.pcap" -- \
	-c "$work/live.json" --summary "$work/live.summary"
telemetry live /mirrorsink/sessions,3990 | grep -q '"session": "tms-4000".*"vlan": 4000[,}]' ||
	fail "the telemetry does not show VLAN ids"
reload 4095 'output ids: no VLAN id is left for 1 of 4095 sessions'
telemetry live /mirrorsink/sessions,3990 | grep -q tms-4001 && fail "half a reload was applied"
reload qinq 'Outputs: changed'
reload 4094 'configuration reloaded'
telemetry live /mirrorsink/sessions,4080 | grep -q '"session": "tms-4094".*"vlan": 4094[,}]' ||
	fail "a session that came later has not its id"
stop "$pid"
assert_ledger "$work/live.summary"

# Live: a tap's reader sees the tags, and the frames that do not fit with theirs are not sent.
if ((EUID != 0)); then
	echo "not root: without taps, and the chain through files only"
	exit
fi
need_command tcpdump
wire
in_space=(ip netns exec "$space_b")
cat >"$work/taps.json" <<END
{"Outputs": [
	{"Name": "vlan", "Type": "port", "Port": "net_tap0", "Tenant": "vlan"},
	{"Name": "qinq", "Type": "port", "Port": "net_tap1", "Tenant": "qinq"},
	{"Name": "on", "Type": "port", "Port": "net_tap2", "Tenant": "vxlan", "Vxlan": {$wrap4}}
]}
END
sink_start taps "$b0" --vdev=net_tap0,iface=t0 --vdev=net_tap1,iface=t1 --vdev=net_tap2,iface=t2 \
	-- -W 0 -c "$work/taps.json" --summary "$work/s.json"
readers=()
for i in 0 1 2; do
	ip netns exec "$space_b" tcpdump -i "t$i" -U --immediate-mode -B 8192 -w "$work/t$i.pcap" \
		not ip6 2>"$work/t$i.txt" &
	readers+=($!)
	started+=($!)
done
listen()
{
	local i

	for i in 0 1 2; do
		grep -q 'listening on' "$work/t$i.txt" || return 1
	done
}
wait_for 20 listen || fail "tcpdump does not listen"
send_frames "$work/long.pcap" 1000
received()
{
	telemetry "$1" /mirrorsink/ledger | grep -Eq "\"received\": $2[,}]"
}
wait_for 20 received taps 4 || fail "the frames do not arrive"
sleep 0.5
for reader in "${readers[@]}"; do
	stop "$reader" INT
done
stop "$pid"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys, judge, marks
work = sys.argv[1]
summary = judge.load(f"{work}/s.json")
for name, count in ("vlan", 0), ("qinq", 2), ("on", 4):
    marks.drops(judge.output_named(summary, name), {"port_length": count} if count else {})
want = marks.frames(f"{work}/long.pcap")
ids = {100: 1, 200: 2}
for port, tpids, limit in (0, (0x8100,), 1522), (1, (0x88A8, 0x8100), 1522):
    got = [marks.untag(p.data, tpids) for p in judge.read(f"{work}/t{port}.pcap").packets
           if int.from_bytes(p.data[12:14], "big") in tpids]
    marks.same([(tags[-1], frame) for tags, frame in got],
               [(ids[vni], frame) for vni, frame in want if len(frame) + 4 * len(tpids) <= limit],
               f"tap {port}", True)
END

# Live: the chain over a wire.
sink_start second "$b0" -- "${second[@]}"
receiver=$pid
in_space=(ip netns exec "$space_a")
use_other_lcores
sed -i 's/, "TargetMtu": 100//; s/net_pcap1/net_af_packet0/' "$work/cut.json"
sink first "$input" --vdev=net_af_packet0,iface=a0,framesz=4096,framecnt=4096,blocksz=4096 -- -W 0 \
	-c "$work/cut.json" -a idle:500 --summary "$work/s.json"
assert_ledger "$work/s.json"
in_space=(ip netns exec "$space_b")
wait_for 20 received second 2006 || fail "the second sink does not get all"
stop "$receiver"
chained
