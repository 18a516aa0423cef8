#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     sessions.json, interfaces.json (AWS)
#                  |
#     in.pcap --> mirrorsink --> out.pcapng, out.pcap --> tshark, capinfos, tcpdump
#     3 sessions, both directions
#
# Succeeds if
#  - tshark opens both files and says nothing on standard error;
#  - for each frame it shows the name and description of its session, and its direction;
#  - capinfos reports nanoseconds for both, and in the pcapng one statistics block an interface;
#  - the statistics blocks hold the frames received and dropped, as the summary has them;
#  - frames that the session cut are marked as cut, none is malformed;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark capinfos tcpdump

seed=${SEED:-5}
echo "seed $seed"
check "$work" "$seed" <<'END'
import json
import random
import sys
import judge
import packets as p

work, chance = sys.argv[1], random.Random(int(sys.argv[2]))
sessions = [("tms-0f1e2d3c4b5a69781", "web tier, Zürich", 1001, "10.1.0.10", "02:aa:00:00:00:01"),
            ("tms-0f1e2d3c4b5a69782", "données → ids", 1002, "10.1.0.11", "02:aa:00:00:00:02"),
            ("tms-0f1e2d3c4b5a69783", None, 1002, "10.1.0.12", "02:aa:00:00:00:03")]
document, interfaces, made, expected = [], [], [], []
for i, (name, description, vni, address, own) in enumerate(sessions):
    one = {"TrafficMirrorSessionId": name, "TrafficMirrorTargetId": "tmt-0123456789abcdef0",
           "TrafficMirrorFilterId": "tmf-0123456789abcdef0", "NetworkInterfaceId": f"eni-{i}",
           "OwnerId": "123456789012", "SessionNumber": 1, "VirtualNetworkId": vni, "Tags": []}
    if description:
        one["Description"] = description
    document.append(one)
    interfaces.append({"NetworkInterfaceId": f"eni-{i}", "MacAddress": own,
                       "PrivateIpAddress": address, "VpcId": "vpc-1"})
for i in range(300):
    name, description, vni, address, own = chance.choice(sessions)
    way = chance.choice((1, 2))
    ends = ("02:ff:00:00:00:99", own)[:: 1 if way == 1 else -1]
    hosts = ("192.0.2.7", address)[:: 1 if way == 1 else -1]
    body = p.udp(b"payload " * 40, 40000, 40001)
    frame = p.ether(p.ipv4(body, p.UDP, *hosts), 0x0800, *ends)
    length = len(frame)
    if i % 3 == 0:
        frame = frame[:100]
    time = 1_700_000_000 * judge.NS + i * 1_001_000
    made.append((time, p.mirror(frame, vni, address)))
    expected.append([name, description or "", way, len(frame), length, time])
judge.write_pcap(f"{work}/in.pcap", made)
for name, content in (("sessions", {"TrafficMirrorSessions": document}),
                      ("interfaces", {"NetworkInterfaces": interfaces}), ("expected", expected)):
    with open(f"{work}/{name}.json", "w", encoding="utf-8") as file:
        json.dump(content, file)
END

for form in pcapng pcap; do
	out=$work/out.$form
	sink "$form" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/sessions.json" \
		-c "$work/interfaces.json" -w "$out" -a idle:100 --summary "$work/$form.json"
	assert_ledger "$work/$form.json"
	for fields in frame.cap_len,frame.len,frame.time_epoch \
		frame.interface_name,frame.interface_description,frame.packet_flags_direction; do
		args=(-T fields)
		for field in ${fields//,/ }; do
			args+=(-e "$field")
		done
		tshark -r "$out" "${args[@]}" >"$work/$form.${fields//,/.}" 2>"$work/tshark.err"
		complaint=$(grep -v 'Running as user "root"' "$work/tshark.err" || true)
		[[ -z $complaint ]] || fail "tshark about out.$form: $complaint"
	done
	malformed=$(tshark -r "$out" -Y _ws.malformed 2>/dev/null | wc -l)
	assert_equal "$malformed" 0 "malformed frames in out.$form"
	capinfos "$out" >"$work/$form.info" 2>"$work/capinfos.err"
	grep -Eq 'File timestamp precision: +nanoseconds \(9\)' "$work/$form.info" ||
		fail "capinfos: $(grep precision "$work/$form.info")"
	frames=$(tcpdump -r "$out" -nn 2>/dev/null | wc -l)
	assert_equal "$frames" 300 "frames that tcpdump reads in out.$form"
done
assert_equal "$(grep -c 'Number of stat entries = 1$' "$work/pcapng.info")" 3 \
	"interfaces with a statistics block, by capinfos"
assert_equal "$(grep -c 'Time precision = nanoseconds (9)' "$work/pcapng.info")" 3 \
	"interfaces with nanoseconds, by capinfos"

check "$work" <<'END'
import sys
import judge

work = sys.argv[1]
expected = judge.load(f"{work}/expected.json")


def lines(name):
    with open(f"{work}/{name}", encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


shown = lines("pcapng.frame.interface_name.frame.interface_description."
              "frame.packet_flags_direction")
judge.demand(len(shown) == len(expected), "%d frames", len(shown))
for got, want in zip(shown, expected):
    name, description, direction = got
    judge.demand([name, description, int(direction, 0)] == want[:3], "%r, expected %r", got, want)
for form in ("pcapng", "pcap"):
    for got, want in zip(lines(f"{form}.frame.cap_len.frame.len.frame.time_epoch"), expected):
        seconds, _, fraction = got[2].partition(".")
        time = int(seconds) * judge.NS + int(fraction.ljust(9, "0"))
        judge.demand([int(got[0]), int(got[1]), time] == want[3:], "%r, expected %r", got, want)
after, summary = judge.read(f"{work}/out.pcapng"), judge.load(f"{work}/pcapng.json")
judge.demand(len(after.statistics) == 3, "%d statistics blocks", len(after.statistics))
for one in after.statistics:
    frames = sum(p.interface == one.interface for p in after.packets)
    judge.demand((one.received, one.dropped) == (frames, 0), "%r, %d frames", one, frames)
names = {one.name: one for one in after.interfaces}
for session in summary["sessions"]:
    frames = len(after.by_name(session["session"]))
    judge.demand(session["delivered"] == frames, "%r, %d frames", session, frames)
END
