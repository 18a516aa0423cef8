#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                                        namespace b
#     +---------------------------------------+          +--------------------------------+
#     | in.pcap ----+                         |          |                    +--> web.pcapng
#     |             +-> mirrorsource ----- a0 |-- veth --| b0 --> mirrorsink -+--> dns.pcapng
#     | send.py -> c1 -- veth -- c0           |          |                    +--> rest.pcapng
#     +---------------------------------------+          |                    +--> outer.pcapng
#              the same AWS documents for both           +--------------------------------+
#
# One source ENI with three sessions, each with a filter of ten rules each way: web traffic cut to
# 128 bytes, DNS, and the rest. The target's MTU is 1500, and frames are longer. Over IPv4 and IPv6,
# as VXLAN and through a Gateway Load Balancer (GENEVE); frames come from a capture, and twice from
# a live port.
#
# Succeeds if
#  - each session's file has exactly the frames that the references say, in order, cut where they
#    say, with session, direction and original length;
#  - the mirrored packets themselves are the reference's byte for byte, hashes aside;
#  - nothing is lost or added: both ledgers, the counters of a0, b0 and of the sink's device have
#    exactly as many packets as the references;
#  - both programs end with status 0.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
seed=${SEED:-7}
echo "seed $seed"
mkdir "$work/documents"

cat >"$work/world.py" <<'END'
"""The documents and the frames, and what is expected of them."""
import ipaddress
import json
import random
import sys
import judge
import packets as p
import reference
import source_reference
from source_reference import Play, Source

ENI, TARGET = "eni-0aaaaaaaaaaaaaaa1", "eni-0bbbbbbbbbbbbbbb1"

SERVER_MAC, CLIENT_MAC = "02:cc:00:00:00:02", "02:cc:00:00:00:01"


def span(low, high):
    return {"FromPort": low, "ToPort": high}


def rules(name, direction, protocol, low, high):
    """Ten, of which some hide others: what is accepted is one protocol, near ports low to high."""
    far, near = ("Source", "Destination")[:: 1 if direction == "ingress" else -1]
    far_block, near_block = far + "CidrBlock", near + "CidrBlock"
    far_ports, near_ports = far + "PortRange", near + "PortRange"
    made = [
        ("reject", {far_block: "10.2.0.3/32"}),
        ("reject", {far_block: "2001:db8::8/128", "Protocol": 6}),
        ("reject", {"Protocol": 17, far_block: "10.2.0.6/31"}),
        ("accept", {"Protocol": protocol, far_block: "10.2.0.0/27", near_ports: span(low, high)}),
        ("reject", {near_block: "10.3.0.1/32", near_ports: span(123, 123)}),
        ("accept", {far_block: "192.0.2.0/24"}),
        ("reject", {far_ports: span(1, 1023), "Protocol": 6}),
        ("accept", {"Protocol": protocol, near_block: "2001:db8:1::/48",
                    near_ports: span(low, high)}),
        ("reject", {far_block: "2001:db8::/124"}),
        ("reject", {far_block: "0.0.0.0/0"}),
    ]
    return [
        dict(TrafficMirrorFilterRuleId=f"{name}-{direction}-{number}", TrafficMirrorFilterId=name,
             TrafficDirection=direction, RuleNumber=number, RuleAction=action, **what)
        for number, (action, what) in enumerate(made, 1)
    ]


def mirror_filter(name, *accepted, services=()):
    return {"TrafficMirrorFilterId": name, "NetworkServices": list(services), "Tags": [],
            "IngressFilterRules": rules(name, "ingress", *accepted),
            "EgressFilterRules": rules(name, "egress", *accepted)}


filters = [
    mirror_filter("tmf-web", 6, 80, 443),
    mirror_filter("tmf-dns", 17, 53, 53, services=["amazon-dns"]),
    mirror_filter("tmf-rest", -1, 0, 65535),
]
sessions = [
    dict(TrafficMirrorSessionId=f"tms-{name}", TrafficMirrorTargetId="tmt-1", OwnerId="1",
         TrafficMirrorFilterId=f"tmf-{name}", NetworkInterfaceId=ENI, SessionNumber=number,
         VirtualNetworkId=vni, Tags=[], **more)
    for name, number, vni, more in (
        ("rest", 300, 16777215, {}), ("web", 10, 80, {"PacketLength": 128}), ("dns", 20, 53, {}))]
interfaces = [
    {"NetworkInterfaceId": name, "MacAddress": mac, "PrivateIpAddress": four,
     "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": four}],
     "Ipv6Addresses": [{"Ipv6Address": six}], "VpcId": "vpc-1"}
    for name, mac, four, six in (
        (ENI, SERVER_MAC, "10.3.0.1", "2001:db8:1::1"),
        (TARGET, "02:00:00:00:00:02", "10.9.0.2", "2001:db8:9::2"))]
documents = {
    "TrafficMirrorFilters": filters,
    "TrafficMirrorSessions": sessions,
    "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", "Type": "network-interface",
                              "NetworkInterfaceId": TARGET}],
    "NetworkInterfaces": interfaces,
    "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.3.0.0/16"}],
}
NAMES = "web", "dns", "rest"


def own_keys(work):
    names = [*NAMES, "outer"]
    outputs = [{"Name": name, "Type": "pcapng", "Path": f"{work}/{name}.pcapng"} for name in names]
    outputs[-1]["Frame"] = "outer"
    routes = [{"SessionId": f"tms-{name}", "Outputs": [name, "outer"]} for name in NAMES]
    return {"Outputs": outputs, "Routes": routes}


def play(version, geneve):
    return Play(target_mtu=1500, ip_version=int(version), geneve=geneve == "geneve")


def mirrored(source, frames):
    """(frame, session) of each mirrored packet; and the fates of all sightings."""
    made, fates = [], {}
    for frame in frames:
        for seen in source.sightings(frame, reference.fields(frame),
                                     source_reference.is_arp(frame)):
            fates[seen.fate] = fates.get(seen.fate, 0) + 1
            if seen.session is not None:
                made.append((frame, seen.session))
    return made, fates


if __name__ == "__main__":
    work, seed = sys.argv[1:]
    for key, value in documents.items():
        with open(f"{work}/documents/{key}.json", "w", encoding="utf-8") as file:
            json.dump({key: value}, file, indent=4)
    with open(f"{work}/own.json", "w", encoding="utf-8") as file:
        json.dump(own_keys(work), file, indent=4)
    frames = p.flow_frames(random.Random(int(seed)), 3000, longest=1800)
    # the kernel takes tags off frames that come in by a live port
    frames = [frame for frame in frames if frame[12:14] != b"\x81\x00"]
    # the wire's own addresses are those of flow_frames()
    for old, new in ((p.TARGET_MAC, SERVER_MAC), (p.SOURCE_MAC, CLIENT_MAC)):
        frames = [frame[:12].replace(p.mac(old), p.mac(new)) + frame[12:] for frame in frames]
    judge.write_pcap(f"{work}/in.pcap",
                     [(1_700_000_000 * judge.NS + i * 1000, f) for i, f in enumerate(frames)])
    made, fates = mirrored(Source(documents, Play(target_mtu=1500)), frames)
    for name in NAMES:
        of = [frame for frame, session in made if session == f"tms-{name}"]
        judge.demand(len(of) > 50 and max(map(len, of)) > 1500, "the test is weak: %s, %d", name,
                     len(of))
    judge.demand(fates["filter_reject"] > 50, "the test is weak: %r", fates)
    print(len(frames), len(made), file=open(f"{work}/counts", "w", encoding="utf-8"))
END
check "$work" "$seed" <"$work/world.py"
read -r frames mirrored <"$work/counts"

cat >"$work/same.py" <<'END'
import ipaddress
import sys
work, version, geneve, origin, sent, arrived = sys.argv[1:]
sys.path.insert(0, work)
import judge
import reference
import world
from source_reference import Source

source = Source(world.documents, world.play(version, geneve))
sink = reference.Reference(dict(world.documents, **world.own_keys(work)))
frames = [one.data for one in judge.read(f"{work}/in.pcap").packets]
made, fates = world.mirrored(source, frames)

judge.demand(int(sent) == int(arrived) == len(made), "a0 sent %s, b0 received %s, expected %d",
             sent, arrived, len(made))
summary = judge.load(f"{work}/source.json")
judge.demand(summary["balanced"] is True, "the source's ledger does not balance")
got = {name: count for name, count in summary["fates"].items() if count}
judge.demand(got == fates, "fates %r, expected %r", got, fates)
judge.demand(summary["packets"]["sent"] == summary["packets"]["mirrored"] == len(made),
             "packets %r, expected %d", summary["packets"], len(made))

expected = {name: [] for name in (*world.NAMES, "outer")}
for frame, name in made:
    kept, route = source.kept(name, frame), source.route(name)
    address, found = ipaddress.ip_address(route.source), reference.fields(kept)
    session, direction, outputs = sink.decide_inner(address, route.vni, kept, found)
    judge.demand(session["TrafficMirrorSessionId"] == name and direction is not None, name)
    for output in outputs:
        expected[output].append((name, frame, kept, {"ingress": 1, "egress": 2}[direction]))
for output, want in expected.items():
    capture = judge.read(f"{work}/{output}.pcapng")
    for i, (one, (name, frame, kept, direction)) in enumerate(zip(capture.packets, want)):
        where = f"{output}, packet {i + 1}, of {frame.hex()}"
        if output == "outer":
            kept = source.mirrored(name, frame, source.hashed(name, one.data))
        judge.demand(one.data == kept, "%s: is\n%s, expected\n%s", where, one.data.hex(),
                     kept.hex())
        judge.demand((capture.name(one), one.direction) == (name, direction),
                     "%s: session %s, direction %d, expected %s, %d", where, capture.name(one),
                     one.direction, name, direction)
        if output != "outer":
            judge.demand(one.length == len(frame), "%s: length %d", where, one.length)
    judge.demand(len(capture.packets) == len(want), "%s: %d packets, expected %d", output,
                 len(capture.packets), len(want))

summary = judge.load(f"{work}/sink.json")
judge.check_ledger(summary)
judge.check_fates(summary, {"delivered": len(made)})
for port, counters in summary["device"].items():
    lost = {name: count for name, count in counters.items()
            if count and ("missed" in name or "error" in name or "nombuf" in name)}
    judge.demand(not lost, "%s: %r", port, lost)
print(f"IPv{version} {geneve} from a {origin}: {len(frames)} frames, {len(made)} mirrored,",
      *(f"{len(expected[name])} {name}" for name in world.NAMES))
END

# counter SPACE DEVICE NAME: of the kernel.
counter()
{
	ip netns exec "$1" cat "/sys/class/net/$2/statistics/$3"
}

# sockets N: whether so many packet sockets in a are bound to an interface, and thus receive.
sockets()
{
	# shellcheck disable=SC2016 # awk's fields
	(($(ip netns exec "$space_a" awk '$5 > 0 && $6 == 1' /proc/net/packet | wc -l) >= $1))
}

# try VERSION vxlan|geneve capture|live
try()
{
	local options=(--ip-version "$1" --target-mtu 1500) configs=() from one source_pid sink_pid
	local sent arrived

	for one in "$work"/documents/*.json; do
		configs+=(-c "$one")
	done
	# the load balancer's headers come on top of what the target's MTU bounds
	[[ $2 == vxlan ]] || options+=(--geneve --mtu 1600)
	from="--vdev=net_pcap0,rx_pcap=$work/in.pcap"
	[[ $3 == capture ]] || from=--vdev=net_af_packet1,iface=c0,framecnt=8192

	use_lcores 2
	in_space=(ip netns exec "$space_b")
	sink_start "sink$1$2$3" "$b0" -- "${configs[@]}" -c "$work/own.json" -W 0 \
		-a "packets:$mirrored" -a duration:30 --summary "$work/sink.json"
	sink_pid=$pid
	sent=$(counter "$space_a" a0 tx_packets)
	arrived=$(counter "$space_b" b0 rx_packets)
	use_other_lcores
	in_space=(ip netns exec "$space_a")
	source_start "source$1$2$3" --vdev=net_af_packet0,iface=a0 "$from" -- -t net_af_packet0 \
		"${configs[@]}" "${options[@]}" --rate 5000 -a "packets:$frames" \
		-a duration:30 --summary "$work/source.json"
	source_pid=$pid
	in_space=()
	if [[ $3 == live ]]; then
		wait_for 20 sockets 2 || fail "mirrorsource has not opened its ports"
		ip netns exec "$space_a" "$python" "$here/send.py" c1 "$work/in.pcap" 3000
	fi
	await "$source_pid" || fail "mirrorsource ends with status $?"
	await "$sink_pid" || fail "mirrorsink ends with status $?"
	sent=$(($(counter "$space_a" a0 tx_packets) - sent))
	arrived=$(($(counter "$space_b" b0 rx_packets) - arrived))
	check "$work" "$1" "$2" "$3" "$sent" "$arrived" <"$work/same.py" || fail "$*"
}

ip -n "$space_a" link add c0 mtu 9000 type veth peer name c1 mtu 9000 || skip "no second veth here"
ip -n "$space_a" link set c0 up
ip -n "$space_a" link set c1 up
for version in 4 6; do
	for tunnel in vxlan geneve; do
		try "$version" "$tunnel" capture
	done
done
try 4 vxlan live
try 6 geneve live
