#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap --> mirrorsource --> {IPv4, IPv6} x {VXLAN, VXLAN in GENEVE} x {MTU 1500, none}
#                                       |
#                                       +--> tshark, judge.py: are the headers right?
#                                       +--> mirrorsink: does the frame come back?
#
# in.pcap: frames of some captures of inner/, where they are there, and made ones of up to 9000
# bytes, of flows in both directions.
#
# Succeeds if for each of the eight
#  - tshark finds every header field as AWS has it: addresses, TTL, ID, DF, lengths, IP checksums
#    that are right and UDP checksums that are 0, ports, VXLAN flags and VNI, GENEVE's options;
#  - the IP packet that carries VXLAN is as long as the frame needs, or as the MTU lets it be;
#  - source ports are within base and bits, one for a flow if symmetric, two if directed;
#  - mirrorsink delivers the frames as far as they were mirrored, with time and original length;
#  - both ledgers balance;
# and if wrong options end mirrorsource with status 2 and a message that names them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark

seed=${SEED:-7}
some=()
if [[ -d $captures/inner ]]; then
	mapfile -t some < <(printf '%s\n' "$captures"/inner/* | awk 'NR % 25 == 1')
fi
echo "seed $seed, ${#some[@]} captures"
check "$work/in.pcap" "$seed" "${some[@]}" <<'END'
import random
import sys
import judge
import packets as p

out, seed, *captures = sys.argv[1:]
chance = random.Random(int(seed))
frames = p.flow_frames(chance, 1500)
for size in (1, 13, 14, 60, 1463, 1464, 1465, 1443, 1444, 1445, 1514, 8947, 9000):
    frames.append(chance.randbytes(size))
for size in (1400, 1500, 3000, 9000):
    segment = p.udp(bytes(size - 42), 5000, 5001)
    frames.append(p.ether(p.ipv4(segment, p.UDP, "10.2.0.1", "10.3.0.1"), 0x0800))
for path in captures:
    frames += [one.data for one in judge.read(path, strict=False).packets
               if 0 < len(one.data) < 60000][:60]
judge.write_pcap(out, [(10**18 + i * 1000, frame) for i, frame in enumerate(frames)])
END

fields=(frame.len ip.version ip.src ip.dst ip.ttl ip.id ip.dsfield ip.flags.df ip.hdr_len ip.len
	ip.checksum.status ipv6.version ipv6.src ipv6.dst ipv6.hlim ipv6.tclass ipv6.flow ipv6.plen
	udp.srcport udp.dstport udp.length udp.checksum vxlan.flags vxlan.vni geneve.version
	geneve.flags geneve.proto_type geneve.vni geneve.option.class geneve.option.type
	geneve.option.length geneve.option.unknown.data)
show=(-T fields -E occurrence=a -E 'aggregator=|' -o ip.check_checksum:TRUE)
for field in "${fields[@]}"; do
	show+=(-e "$field")
done

# The judgement: rows of tshark, packets and what came back, against the frames.
cat >"$work/judge_it.py" <<'END'
import socket
import struct
import sys
import judge
import packets as p

work, run, family, tunnel, mtu, base, bits, kind = sys.argv[1:]
six, geneve, mtu, base, bits = family == "6", tunnel == "geneve", int(mtu), int(base), int(bits)
frames = judge.read(f"{work}/in.pcap").packets
mirrored = judge.read(f"{work}/{run}.pcap").packets
back = judge.read(f"{work}/{run}.pcapng").packets
with open(f"{work}/{run}.fields", encoding="utf-8") as file:
    names = file.readline().split()
    rows = [dict(zip(names, line.rstrip("\n").split("\t"))) for line in file]
judge.demand(len(frames) == len(mirrored) == len(rows) == len(back), "%d frames, %d mirrored, "
             "%d shown, %d back", len(frames), len(mirrored), len(rows), len(back))
source, target = ("2001:db8:5::1", "2001:db8:5::2") if six else ("10.5.0.1", "10.5.0.2")
balancer, endpoint = ("2001:db8::3", "2001:db8::4") if six else ("192.0.2.3", "192.0.2.4")
layers = [(balancer, target), (source, endpoint)] if geneve else [(source, target)]
header = 56 if six else 36
ports = {}


def both(row, name, count=len(layers)):
    """The first values, from the outside in; frames have further ones."""
    return row[name].split("|")[:count]


for i, (frame, packet, row, after) in enumerate(zip(frames, mirrored, rows, back)):
    where = f"{run}, frame {i + 1}"

    def equal(got, want, what):
        judge.demand(got == want, "%s: %s is %r, expected %r", where, what, got, want)

    kept = min(len(frame.data), mtu - header) if mtu else len(frame.data)
    inside = header + kept
    lengths = [inside + header - 8 + 40, inside] if geneve else [inside]
    equal(len(packet.data), 14 + lengths[0], "length")
    equal(packet.data[-kept:], frame.data[:kept], "the frame")
    equal(packet.time, frame.time, "time")
    n = len(layers)
    if six:
        equal(both(row, "ipv6.version"), ["6"] * n, "version")
        equal(list(zip(both(row, "ipv6.src"), both(row, "ipv6.dst"))), layers, "addresses")
        equal(both(row, "ipv6.hlim"), ["255"] * n, "hop limit")
        equal([int(x, 0) for x in both(row, "ipv6.tclass") + both(row, "ipv6.flow")], [0] * 2 * n,
              "traffic class and flow label")
        equal([int(x) for x in both(row, "ipv6.plen")], [x - 40 for x in lengths], "IPv6 length")
    else:
        equal(both(row, "ip.version"), ["4"] * n, "version")
        equal(list(zip(both(row, "ip.src"), both(row, "ip.dst"))), layers, "addresses")
        equal(both(row, "ip.ttl"), ["255"] * n, "TTL")
        equal([int(x, 0) for x in both(row, "ip.id") + both(row, "ip.dsfield")], [0] * 2 * n,
              "ID and TOS")
        equal(both(row, "ip.flags.df"), ["0"] * n, "DF")
        equal(both(row, "ip.hdr_len"), ["20"] * n, "header length")
        equal([int(x) for x in both(row, "ip.len")], lengths, "IP length")
        equal(both(row, "ip.checksum.status"), ["1"] * n, "IP checksum's status")
    equal([int(x, 0) for x in both(row, "udp.checksum")], [0] * n, "UDP checksum")
    equal([int(x) for x in both(row, "udp.length")], [x - header + 16 for x in lengths],
          "UDP length")
    equal(both(row, "udp.dstport"), ["6081", "4789"][-n:], "destination ports")
    equal(both(row, "vxlan.flags", 1), ["0x0800"], "VXLAN flags")
    equal(both(row, "vxlan.vni", 1), ["11259375"], "VNI")
    port = int(both(row, "udp.srcport")[-1])
    judge.demand(port & ~((1 << bits) - 1) == base, "%s: source port %d", where, port)
    if geneve:
        equal(both(row, "geneve.version", 1), ["0"], "GENEVE version")
        equal(both(row, "geneve.flags", 1), ["0x00"], "GENEVE flags")
        equal(both(row, "geneve.proto_type", 1), ["0x86dd" if six else "0x0800"], "GENEVE type")
        equal(both(row, "geneve.option.class", 3), ["0x0108"] * 3, "option classes")
        equal([int(x, 0) for x in both(row, "geneve.option.type", 3)], [1, 2, 3], "option types")
        equal([int(x) for x in both(row, "geneve.option.length", 4)], [32, 12, 12, 8],
              "lengths of all options and of each")
        cookie = int(both(row, "geneve.option.unknown.data", 3)[2], 16)
        equal(port & (1 << bits) - 1, cookie & (1 << bits) - 1, "port by the cookie")
    if i < 1500:  # of flow_frames()
        flow, way = p.flow_of(frame.data)[0], frame.data[:6]
        ports.setdefault(flow, {}).setdefault(way, set()).add(port)
    # what the sink makes of it
    inner = judge.decapsulate(packet.data)
    equal(inner.source, socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, source),
          "source")
    equal(after.data, frame.data[:kept], "the frame that came back")
    equal(after.time, frame.time, "its time")
    equal(after.length, inner.length, "its original length")
for flow, ways in ports.items():
    judge.demand(len(ways) == 2, "flow %d: one direction only, choose another seed", flow)
    judge.demand(all(len(one) == 1 for one in ways.values()), "flow %d: ports %r", flow, ways)
    there, here = ways.values()
    judge.demand((there == here) == (kind == "symmetric"), "%s: flow %d: ports %r, %r", run, flow,
                 there, here)
used = set.union(*(one for ways in ports.values() for one in ways.values()))
judge.demand(len(used) > 8, "%s: all flows on ports %r", run, used)
summary = judge.load(f"{work}/{run}-source.json")
judge.demand(summary["balanced"] is True, "mirrorsource's ledger does not balance")
judge.demand(summary["received"]["packets"] == len(frames) == summary["fates"]["mirrored"] ==
             summary["sent"]["packets"], "%s: %r", run, summary)
summary = judge.load(f"{work}/{run}-sink.json")
judge.check_ledger(summary)
judge.check_fates(summary, {"delivered": len(frames)})
END

# mirror FAMILY TUNNEL MTU: there, judged, and back.
mirror()
{
	local run=v$1-$2-$3 addresses=(10.5.0.1 10.5.0.2) more=() base=65408 bits=7 kind=symmetric

	[[ $1 == 6 ]] && addresses=(2001:db8:5::1 2001:db8:5::2)
	if [[ $2 == geneve ]]; then
		more+=(--geneve)
	fi
	if [[ $1-$2 == 4-geneve || $1-$2 == 6-vxlan ]]; then
		base=32768 bits=9 kind=directed
		more+=(--source-port-base "$base" --source-port-bits "$bits" --source-port-hash "$kind")
	fi
	source_run "$run-source" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
		-w "$work/$run.pcap" -a idle:100 --summary "$work/$run-source.json" --vni 11259375 \
		--source-address "${addresses[0]}" --target-address "${addresses[1]}" \
		--target-mtu "$3" "${more[@]}"
	sink "$run-sink" "--vdev=net_pcap0,rx_pcap=$work/$run.pcap" -- \
		-w "$work/$run.pcapng" -a idle:100 --summary "$work/$run-sink.json"
	{
		echo "${fields[*]}"
		tshark -r "$work/$run.pcap" "${show[@]}" 2>"$work/$run.err"
	} >"$work/$run.fields"
	check "$work" "$run" "$1" "$2" "$3" "$base" "$bits" "$kind" <"$work/judge_it.py"
}

for family in 4 6; do
	for tunnel in vxlan geneve; do
		for mtu in 0 1500; do
			mirror "$family" "$tunnel" "$mtu"
		done
	done
done

# refused MESSAGE OPTIONS...: status 2, and standard error says it.
refused()
{
	local status=0 message=$1

	shift
	source_run refused "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
		-w "$work/refused.pcap" "$@" || status=$?
	assert_equal "$status" 2 "status with $*"
	grep -Eq -e "$message" "$work/refused.err" || fail "$*: $(cat "$work/refused.err")"
	[[ ! -e $work/refused.pcap ]] || fail "$*: left a file behind"
}
refused 'target-mtu 36: .*37' --target-mtu 36
refused 'target-mtu 56: .*57' --target-mtu 56 --target-address 2001:db8::9
refused 'target-mtu.*65536' --target-mtu 65536
refused 'source-port-base.*65536' --source-port-base 65536
refused 'source-port-bits.*17' --source-port-bits 17
refused 'source-port-hash.*random' --source-port-hash random
refused 'geneve-port.*--geneve' --geneve-port 7000
refused 'gwlb-address.*--geneve' --gwlb-address 10.0.0.1
refused 'endpoint-address.*--geneve' --endpoint-address 10.0.0.1
refused 'geneve-port.*\b0\b' --geneve --geneve-port 0
refused 'gwlb-address.*nowhere' --geneve --gwlb-address nowhere
refused 'IPv4 and the other IPv6' --geneve --gwlb-address 10.0.0.1 --target-address 2001:db8::9
