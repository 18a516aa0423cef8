#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     6,000 frames of two source ENIs,          one interface for each session
#     of each other, and of strangers                     |
#         |                                               v
#     net_pcap0 --> mirrorsource, AWS documents --> mirrored.pcapng --> mirrorsink, same documents
#                        |
#                        +--> summary: fates, sessions, hits of rules
#
# ENI a has three sessions, which it asks by number: web traffic to an interface, DNS and some more
# to a Network Load Balancer, the rest to a Gateway Load Balancer endpoint. ENI b has one. Among the
# frames are ARP, DHCP, instance metadata, NTP and Windows activation with their neighbours, Amazon
# DNS in and out of the VPC's resolver, VLAN tags, IPv6, frames of 9,000 bytes and of 1.
#
# Succeeds if with both kinds of --after-reject, with one --eni, with --target-mtu and with IPv6
#  - each session's interface has exactly the frames that the reference says, in order, cut where it
#    says, in an outer packet with its addresses, MAC address, VNI, and GENEVE for the endpoint;
#  - fates, seen_twice, packets and bytes of sessions and hits of rules are the reference's, no fate
#    at stake is 0, and the ledger balances;
#  - mirrorsink with the same documents finds each packet's session and delivers it, but for frames
#    of an ENI to itself, whose direction it cannot know;
# if with --loop and --fault what is mirrored comes as often as it should;
# and if each wrong document or option ends it with status 2, a message that says where and what,
# and no output touched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-5}
echo "seed $seed"

cat >"$work/model.py" <<'END'
"""What source ENIs do with the frames of a capture, added up."""
import collections
import reference
import source_reference


class Source(source_reference.Source):
    def __init__(self, document, enis=(), stop=False):
        super().__init__(document, source_reference.Play(enis=tuple(enis), stop=stop))
        self.fates = collections.Counter()
        self.twice = 0
        self.taken = collections.defaultdict(list)  # session: [(number of the frame, direction)]

    def look(self, number, frame):
        seen = self.sightings(frame, reference.fields(frame), source_reference.is_arp(frame))
        self.twice += len(seen) - 1
        for one in seen:
            self.fates[one.fate] += 1
            if one.session is not None:
                self.taken[one.session].append((number, one.direction))
END

check "$work" "$seed" <<'END'
import json
import random
import sys
import judge
import packets as p

work, seed = sys.argv[1:]
chance = random.Random(int(seed))
MACS = {"a": "02:aa:00:00:00:0a", "b": "02:aa:00:00:00:0b", "idle": "02:aa:00:00:00:0c",
        "x": "02:bb:00:00:00:01", "all": "ff:ff:ff:ff:ff:ff"}


def interface(name, mac, four, six):
    return {"NetworkInterfaceId": name, "MacAddress": mac, "PrivateIpAddress": four,
            "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": four}],
            "Ipv6Addresses": [{"Ipv6Address": six}], "VpcId": "vpc-0aaaaaaaaaaaaaaa1",
            "Description": "", "Status": "in-use"}


def rule(direction, number, action, **constraints):
    return dict({"TrafficDirection": direction, "RuleNumber": number, "RuleAction": action},
                **constraints)


def span(low, high):
    return {"FromPort": low, "ToPort": high}


def session(name, number, eni, target, chosen, vni, **more):
    return dict({"TrafficMirrorSessionId": name, "SessionNumber": number,
                 "NetworkInterfaceId": eni, "TrafficMirrorTargetId": target,
                 "TrafficMirrorFilterId": chosen, "VirtualNetworkId": vni,
                 "OwnerId": "111122223333"}, **more)


filters = [
    {"TrafficMirrorFilterId": "tmf-web", "NetworkServices": [], "IngressFilterRules": [
        rule("ingress", 20, "accept", Protocol=6, DestinationPortRange=span(80, 89)),
        rule("ingress", 10, "reject", Protocol=6, DestinationPortRange=span(81, 81))],
     "EgressFilterRules": [
        rule("egress", 10, "accept", Protocol=6, SourcePortRange=span(80, 89)),
        rule("egress", 20, "accept", Protocol=132, DestinationCidrBlock="198.51.100.0/31")]},
    {"TrafficMirrorFilterId": "tmf-dns", "NetworkServices": ["amazon-dns"],
     "IngressFilterRules": [rule("ingress", 5, "reject", Protocol=17)],
     "EgressFilterRules": [
        rule("egress", 5, "accept", SourceCidrBlock="10.1.0.0/16", Protocol=17,
             DestinationPortRange=span(4000, 5000))]},
    {"TrafficMirrorFilterId": "tmf-rest", "NetworkServices": [], "IngressFilterRules": [
        rule("ingress", 1, "reject", Protocol=1),
        rule("ingress", 2, "accept", SourceCidrBlock="0.0.0.0/0"),
        rule("ingress", 3, "accept", DestinationCidrBlock="2001:db8::/32")],
     "EgressFilterRules": [rule("egress", 7, "accept")]},
]
document = {
    "TrafficMirrorFilters": filters,
    "TrafficMirrorSessions": [
        session("tms-a-rest", 300, "eni-a", "tmt-gwlb", "tmf-rest", 66),
        session("tms-b", 1, "eni-b", "tmt-eni", "tmf-rest", 64, Description="all of b"),
        session("tms-a-web", 2, "eni-a", "tmt-eni", "tmf-web", 64, PacketLength=96),
        session("tms-a-dns", 10, "eni-a", "tmt-nlb", "tmf-dns", 65),
    ],
    "NextToken": "",
}
document["TrafficMirrorSessions"][1]["VirtualNetworkId"] = 67
places = {
    "NetworkInterfaces": [
        interface("eni-a", MACS["a"], "10.1.0.10", "2001:db8:1::a"),
        interface("eni-b", MACS["b"], "10.1.0.11", "2001:db8:1::b"),
        interface("eni-idle", MACS["idle"], "10.1.0.12", "2001:db8:1::c"),
        interface("eni-target", "02:aa:00:00:00:99", "10.1.0.99", "2001:db8:1::99")],
    "Vpcs": [{"VpcId": "vpc-0aaaaaaaaaaaaaaa1", "CidrBlock": "10.1.0.0/16"}],
    "TrafficMirrorTargets": [
        {"TrafficMirrorTargetId": "tmt-eni", "Type": "network-interface",
         "NetworkInterfaceId": "eni-target"},
        {"TrafficMirrorTargetId": "tmt-nlb", "Type": "network-load-balancer",
         "NetworkLoadBalancerArn": "arn:aws:elasticloadbalancing:r:1:loadbalancer/net/x/1"},
        {"TrafficMirrorTargetId": "tmt-gwlb", "Type": "gateway-load-balancer-endpoint",
         "GatewayLoadBalancerEndpointId": "vpce-0aaaaaaaaaaaaaaa1"}],
}
json.dump(document, open(f"{work}/sessions.json", "w"), indent=1)
json.dump(places, open(f"{work}/places.json", "w"), indent=1)
json.dump(dict(document, **places), open(f"{work}/all.json", "w"))

FOUR = ["10.1.0.10", "10.1.0.11", "198.51.100.1", "203.0.113.9"]
SIX = ["2001:db8:1::a", "2001:db8:9::9"]
SPECIAL4 = ["169.254.169.254", "169.254.169.123", "169.254.169.250", "169.254.169.251",
            "169.254.169.253", "10.1.0.2", "169.254.169.252", "10.2.0.2"]
SPECIAL6 = ["fd00:ec2::254", "fd00:ec2::123", "fd00:ec2::240", "fd00:ec2::253", "fd00:ec2::250"]
PORTS = [53, 67, 68, 80, 81, 85, 123, 546, 547, 1688, 4444, 40000]


def one_frame():
    six = chance.random() < 0.25
    usual, special = (SIX, SPECIAL6) if six else (FOUR, SPECIAL4)
    ends = [chance.choice(usual), chance.choice(special if chance.random() < 0.4 else usual)]
    if chance.random() < 0.5:
        ends.reverse()
    kind = chance.random()
    size = 9000 if kind > 0.98 else chance.choice((0, 20, 100, 1300))
    payload = chance.randbytes(size)
    ports = (chance.choice(PORTS), chance.choice(PORTS))
    number, build = chance.choice(((p.TCP, p.tcp), (p.TCP, p.tcp), (p.UDP, p.udp), (p.UDP, p.udp),
                                   (p.ICMP, None), (132, None)))
    ether_type, packet = p.ip(build(payload, *ports) if build else payload, number, *ends)
    if not six and build and chance.random() < 0.03:  # a later fragment: no ports
        packet = p.ipv4(payload, number, *ends, fragment=100)
    if chance.random() < 0.05:
        ether_type, packet = 0x0806, chance.randbytes(46)
    if chance.random() < 0.02:
        ether_type, packet = 0x88CC, chance.randbytes(60)
    tags = [(0x8100, 7), (0x88A8, 5)][: chance.choice((0, 0, 0, 0, 1, 2))]
    pairs = [("a", "x"), ("x", "a"), ("b", "x"), ("x", "b"), ("a", "b"), ("b", "a"),
             ("x", "x"), ("x", "all"), ("a", "a"), ("a", "all"), ("x", "idle")]
    source, target = chance.choices(pairs, weights=(9, 9, 3, 3, 3, 3, 1, 1, 1, 1, 1))[0]
    frame = p.ether(packet, ether_type, MACS[source], MACS[target], tags)
    if chance.random() < 0.03:
        frame = frame[:chance.randrange(1, min(len(frame), 60))]
    return frame


judge.write_pcap(f"{work}/in.pcap", [(10**18 + i * 1000, one_frame()) for i in range(6000)])
END

cat >"$work/judge_it.py" <<'END'
import collections
import json
import socket
import struct
import sys
import judge
import model
import reference

work, run, settings = sys.argv[1:]
settings = json.loads(settings)
six, mtu = settings.get("six", False), settings.get("mtu")
with open(f"{work}/all.json", encoding="utf-8") as file:
    document = json.load(file)
frames = judge.read(f"{work}/in.pcap").packets
source = model.Source(document, settings.get("enis", ()), settings.get("stop", False))
for number, one in enumerate(frames):
    source.look(number, one.data)

interfaces = {i["NetworkInterfaceId"]: i for i in document["NetworkInterfaces"]}
places = {"tmt-eni": ("10.1.0.99", "2001:db8:1::99"), "tmt-nlb": ("10.7.0.1", "2001:db8:7::1"),
          "tmt-gwlb": ("10.8.0.1", "2001:db8:8::1")}
limits = {"tmt-eni": 9001, "tmt-nlb": 8500, "tmt-gwlb": 8500}
family = socket.AF_INET6 if six else socket.AF_INET
header = 56 if six else 36
capture = judge.read(f"{work}/{run}.pcapng")
wanted_bytes = {}
for session in document["TrafficMirrorSessions"]:
    name, target = session["TrafficMirrorSessionId"], session["TrafficMirrorTargetId"]
    eni = interfaces[session["NetworkInterfaceId"]]
    own = eni["Ipv6Addresses"][0]["Ipv6Address"] if six else eni["PrivateIpAddress"]
    want = source.taken[name]
    if not want:
        judge.demand(name not in [i.name for i in capture.interfaces], "%s: an interface", name)
        continue
    got = capture.by_name(name)
    judge.demand(len(got) == len(want), "%s, %s: %d packets, expected %d", run, name, len(got),
                 len(want))
    described = [i.description for i in capture.interfaces if i.name == name][0]
    judge.demand(described == session.get("Description", described), "%s: %r", name, described)
    wanted_bytes[name] = 0
    for packet, (number, direction) in zip(got, want):
        where = f"{run}, {name}, frame {number + 1}"
        frame = frames[number]
        kept = len(frame.data)
        if "PacketLength" in session:
            kept = min(kept, session["PacketLength"])
        if target == "tmt-nlb":
            kept = min(kept, 8500)
        kept = min(kept, (limits[target] if mtu is None else mtu or 1 << 20) - header)
        inner = judge.decapsulate(packet.data)
        judge.demand(inner.vni == session["VirtualNetworkId"], "%s: VNI %d", where, inner.vni)
        judge.demand(inner.source == socket.inet_pton(family, own), "%s: source %s", where,
                     inner.source.hex())
        judge.demand(inner.frame == frame.data[:kept], "%s: not its first %d bytes", where, kept)
        judge.demand(packet.time == frame.time, "%s: time", where)
        judge.demand(packet.direction == {"ingress": 1, "egress": 2}[direction],
                     "%s: direction %d", where, packet.direction)
        at = 14 + (24 if six else 16)
        to = packet.data[at:at + (16 if six else 4)]
        judge.demand(to == socket.inet_pton(family, places[target][six]), "%s: to %s", where,
                     to.hex())
        mac = "02aa00000099" if target == "tmt-eni" else "ffffffffffff"
        judge.demand(packet.data[:6].hex() == mac, "%s: to MAC %s", where, packet.data[:6].hex())
        port = struct.unpack_from("!H", packet.data, 14 + header - 16 + 2)[0]
        judge.demand(port == (6081 if target == "tmt-gwlb" else 4789), "%s: port %d", where, port)
        tunnel = 68 if target == "tmt-gwlb" and not six else 88 if target == "tmt-gwlb" else 0
        judge.demand(len(packet.data) == 14 + header + tunnel + kept, "%s: %d bytes", where,
                     len(packet.data))
        wanted_bytes[name] += len(packet.data)
judge.demand(len(capture.packets) == source.fates["mirrored"], "packets of no session")

summary = judge.load(f"{work}/{run}.json")
judge.check_fates(summary, source.fates)
judge.demand(summary["balanced"] is True, "the ledger does not balance")
judge.demand(summary["received"]["packets"] == len(frames), "received %r", summary["received"])
judge.demand(summary["seen_twice"] == source.twice, "seen twice %d, expected %d",
             summary["seen_twice"], source.twice)
judge.demand(summary["received"]["packets"] + summary["seen_twice"] ==
             sum(summary["fates"].values()), "fates")
judge.demand(summary["packets"]["mirrored"] == summary["packets"]["sent"] ==
             source.fates["mirrored"], "packets %r", summary["packets"])
for fate in settings["fates"]:
    judge.demand(source.fates[fate] > 0, "nothing is %s, choose another seed", fate)
played = {s["session"]: s for s in summary["sessions"]}
own = settings.get("enis", ["eni-a", "eni-b"])
judge.demand(sorted(played) == sorted(s["TrafficMirrorSessionId"]
                                      for s in document["TrafficMirrorSessions"]
                                      if s["NetworkInterfaceId"] in own), "sessions %r", played)
for session in document["TrafficMirrorSessions"]:
    name = session["TrafficMirrorSessionId"]
    if name not in played:
        continue
    want = {"session": name, "vni": session["VirtualNetworkId"],
            "eni": session["NetworkInterfaceId"], "number": session["SessionNumber"],
            "packets": len(source.taken[name]), "bytes": wanted_bytes.get(name, 0)}
    judge.demand(played[name] == want, "%r, expected %r", played[name], want)
hits = {}
for one in summary["rules"]:
    key = (one["filter"], "amazon-dns") if "service" in one else (
        one["filter"], one["direction"], one["rule"])
    hits[key] = one["hits"]
hits = {key: n for key, n in hits.items() if n}
judge.demand(hits == dict(source.hits), "hits %r\nexpected %r", hits,
             dict(source.hits))
back = judge.load(f"{work}/{run}-sink.json")
judge.check_ledger(back)
sink, fates = reference.Reference(dict(document, Outputs=[{"Name": "null"}])), collections.Counter()
for packet in capture.packets:
    try:
        sink.decide(packet.data)
        fates["delivered"] += 1
    except judge.Fate as fate:  # of an ENI to itself, which the sink takes for something else
        macs = judge.decapsulate(packet.data).frame[:12]
        judge.demand(macs[:6] == macs[6:], "the sink's filters say %s", fate)
        fates[str(fate)] += 1
judge.check_fates(back, fates)
END

where=(--target tmt-nlb=10.7.0.1 --target tmt-gwlb=10.8.0.1)
export PYTHONPATH=$PYTHONPATH:$work # model.py
documents=(-c "$work/sessions.json" -c "$work/places.json")

# play RUN SETTINGS OPTIONS...: there, back, and judged.
play()
{
	local run=$1 settings=$2

	shift 2
	source_run "$run" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- "${documents[@]}" \
		-w "$work/$run.pcapng" -a idle:100 --summary "$work/$run.json" "$@"
	sink "$run-sink" "--vdev=net_pcap0,rx_pcap=$work/$run.pcapng" -- "${documents[@]}" \
		-a idle:100 --summary "$work/$run-sink.json"
	check "$work" "$run" "$settings" <"$work/judge_it.py"
}
usual='"no_eni", "excluded_arp", "excluded_dhcp", "excluded_metadata", "excluded_ntp",
	"excluded_activation", "filter_reject", "mirrored"'
play next "{\"fates\": [$usual, \"excluded_dns\", \"filter_default\"]}" "${where[@]}"
play stop "{\"stop\": true, \"fates\": [$usual]}" "${where[@]}" --after-reject stop
play one "{\"enis\": [\"eni-b\"], \"fates\": [$usual, \"excluded_dns\"]}" "${where[@]}" \
	--eni eni-b --eni eni-b
play idle "{\"enis\": [\"eni-idle\", \"eni-b\"], \"fates\": [\"no_session\"]}" "${where[@]}" \
	--eni eni-b --eni eni-idle
grep -q 'eni-idle has no session' "$work/idle.err" || fail "eni-idle is not told of"
play mtu '{"mtu": 600, "fates": []}' "${where[@]}" --target-mtu 600
play whole '{"mtu": 0, "fates": []}' "${where[@]}" --target-mtu 0
play six '{"six": true, "fates": []}' --ip-version 6 --target tmt-nlb=2001:db8:7::1 \
	--target-address 2001:db8:8::1

# Mirrored three times, with some of it twice: what is not mirrored counts once.
source_run loop "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- "${documents[@]}" "${where[@]}" \
	-w "$work/loop.pcapng" -a idle:100 --loop 3 --fault duplicate:10% --seed 1 \
	--summary "$work/loop.json"
check "$work" <<'END'
import collections
import sys
import judge
import model

work = sys.argv[1]
source = model.Source(judge.load(f"{work}/all.json"))
for number, one in enumerate(judge.read(f"{work}/in.pcap").packets):
    source.look(number, one.data)
summary = judge.load(f"{work}/loop.json")
mirrored = source.fates["mirrored"]
judge.check_fates(summary, dict(source.fates, mirrored=3 * mirrored))
judge.demand(summary["balanced"] is True, "the ledger does not balance")
judge.demand(summary["received"]["packets"] + summary["seen_twice"] ==
             sum(summary["fates"].values()), "%r", summary)
packets = summary["packets"]
judge.demand(packets["mirrored"] == 3 * mirrored and packets["duplicated"] > mirrored / 10 and
             packets["sent"] == packets["mirrored"] + packets["duplicated"], "%r", packets)
for session in summary["sessions"]:
    name = session["session"]
    judge.demand(session["packets"] == 3 * len(source.taken[name]), "%r", session)
capture = judge.read(f"{work}/loop.pcapng")
judge.demand(len(capture.packets) == packets["sent"], "%d packets", len(capture.packets))
for name, taken in source.taken.items():
    found = collections.Counter(p.data for p in capture.by_name(name))
    judge.demand(min(found.values()) >= 3, "%s: a packet is not there three times", name)
    judge.demand(sum(found.values()) >= 3 * len(taken), "%s: packets are missing", name)
END

# What is wrong is said, before anything is opened.
cd "$work"
mkdir out

# edit NAME CODE: a copy of all documents, changed by a line of Python; d: the whole, s: the
# sessions by name. One key a line, so that messages can be held to their lines.
edit()
{
	check "$work" "$1" "$2" <<'END'
import json
import sys
work, name, code = sys.argv[1:]
d = json.load(open(f"{work}/all.json"))
s = {one["TrafficMirrorSessionId"]: one for one in d["TrafficMirrorSessions"]}
exec(code)
json.dump(d, open(f"{work}/{name}.json", "w"), indent=0)
END
}

# bad ROW PATTERN... -- [options]: a row of the table.
bad()
{
	local row=()

	while [[ $1 != -- ]]; do
		row+=("$1")
		shift
	done
	shift
	refuse source_run "${row[@]}" -- --vdev=net_pcap0,rx_pcap=in.pcap -- \
		-w out/precious.pcapng --summary out/s.json "$@"
}

edit four 'd["TrafficMirrorSessions"].append(dict(s["tms-a-web"], TrafficMirrorSessionId="tms-4",
	SessionNumber=7, VirtualNetworkId=99))'
bad 'four sessions' '^mirrorsource: four\.json:[0-9]+:1: session tms-a-rest: ' '3 sessions.*eni-a' -- \
	-c four.json "${where[@]}"
edit twice 's["tms-a-dns"]["SessionNumber"] = 2'
bad 'one number twice' 'twice\.json:[0-9]+:[0-9]+: .*SessionNumber: 2: ' -- \
	-c twice.json "${where[@]}"
edit unnumbered 'del s["tms-b"]["SessionNumber"]'
bad 'no number' 'unnumbered\.json:[0-9]+:1: session tms-b: no SessionNumber' -- \
	-c unnumbered.json "${where[@]}"
edit unfiltered 'del d["TrafficMirrorFilters"][0]'
bad 'no filter' 'unfiltered\.json:[0-9]+:1: session tms-a-web: .*"tmf-web".*not loaded' \
	'TrafficMirrorFilters' -- -c unfiltered.json "${where[@]}"
edit macless 'del d["NetworkInterfaces"][1]["MacAddress"]'
bad 'no MAC' 'macless\.json:[0-9]+:1: interface eni-b: no MacAddress' -- \
	-c macless.json "${where[@]}"
edit samemac 'd["NetworkInterfaces"][1]["MacAddress"] = "02:aa:00:00:00:0a"'
bad 'one MAC twice' 'samemac\.json:[0-9]+:1: interface eni-b: .*eni-a' -- \
	-c samemac.json "${where[@]}"
bad 'no interfaces' 'sessions\.json:[0-9]+:[0-9]+: session tms-a-rest: .*eni-a is not loaded' \
	'NetworkInterfaces' -- -c sessions.json
bad 'no sessions' 'TrafficMirrorSessions' -- -c places.json
bad 'no address of a target' 'all\.json:1:[0-9]+: session tms-a-dns: .*"tmt-nlb".*network-load' \
	'--target tmt-nlb=ADDRESS' -- -c all.json --target tmt-gwlb=10.8.0.1
edit gone 'del d["NetworkInterfaces"][3]'
bad "no interface of a target" 'session tms-a-web: .*"tmt-eni"' '--target tmt-eni=ADDRESS' \
	'NetworkInterfaces' -- -c gone.json "${where[@]}"
edit untargeted 'del d["TrafficMirrorTargets"]'
bad 'no targets' 'session tms-a-web: .*"tmt-eni"' 'TrafficMirrorTargets' -- \
	-c untargeted.json "${where[@]}"
edit four_only '[one.pop("Ipv6Addresses") for one in d["NetworkInterfaces"]]'
bad 'no IPv6' 'session tms-a-web: --ip-version 6: its ENI has no IPv6 address' -- \
	-c four_only.json "${where[@]}" --ip-version 6
bad 'IPv4 to IPv6' 'session tms-a-dns: .*only IPv4.*only IPv6' -- \
	-c four_only.json --target tmt-nlb=2001:db8::7 --target tmt-gwlb=10.8.0.1
bad 'a strange ENI' "'eni-nowhere'" 'NetworkInterfaces' -- \
	-c all.json "${where[@]}" --eni eni-nowhere
bad 'a strange target' "--target: 'tmt-x=10.0.0.1'" -- \
	-c all.json "${where[@]}" --target tmt-x=10.0.0.1
bad 'no target' "--target: 'tmt-nlb'.*=" -- -c all.json --target tmt-nlb
bad 'no address' "--target: 'tmt-nlb=here'" -- -c all.json --target tmt-nlb=here
bad 'IP version 5' "--ip-version: '5'" -- -c all.json "${where[@]}" --ip-version 5
bad 'after-reject' "--after-reject: 'perhaps'" -- -c all.json "${where[@]}" --after-reject perhaps
bad 'vni' '^mirrorsource: --vni: .*--config' -- -c all.json "${where[@]}" --vni 5
bad 'packet-length' '--packet-length: .*--config' -- -c all.json "${where[@]}" --packet-length 50
bad 'source-address' '--source-address: .*--config' -- \
	-c all.json "${where[@]}" --source-address 10.0.0.1
bad 'eni alone' '--eni: .*--config' -- --eni eni-a
bad 'target alone' '--target: .*--config' -- --target tmt-nlb=10.0.0.1
bad 'ip-version alone' '--ip-version: .*--config' -- --ip-version 4
bad 'after-reject alone' '--after-reject: .*--config' -- --after-reject stop
bad 'MTU' '--target-mtu 56: .*IPv6.*57' -- -c all.json --ip-version 6 --target-mtu 56 \
	--target-address 2001:db8::9
bad 'GENEVE family' 'session tms-a-rest: .*IPv4.*--gwlb-address' -- \
	-c all.json "${where[@]}" --gwlb-address 2001:db8::9
bad 'GENEVE for nothing' '--gwlb-address: .*--geneve' -- \
	-c all.json --eni eni-b --gwlb-address 10.0.0.1
bad 'no file' 'nowhere\.json.*No such file' -- -c nowhere.json
printf '{"TrafficMirrorSessions": [\n{"' >cut.json
bad 'cut JSON' 'cut\.json:2:' -- -c cut.json
refused_all
