#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                  +--> null
#                                  +--> file.pcapng, file.pcap, a pipe
#     net_pcap0 --> mirrorsink ----+--> net_pcap1 (port.pcap)
#     4,000 packets, 3 VNIs,       +--> net_ring0, which nobody empties
#     40 flows both ways           +--> several of these at once, by routes
#                                  +--> net_pcap1 and net_pcap2, two queues each, by flow
#
# Succeeds if, for each output, for -W 0, 1 and 2,
#  - it gets the frames of its sessions, byte for byte: in order where one lcore writes; with
#    several workers the same frames, each flow in order and in one file;
#  - of an output that spreads, every queue gets flows, each flow whole, both directions, in order;
#  - null counts them all; the ring takes what it has room for, and the rest is port_full;
#  - --snaplen cuts what files keep, and the original length stays; --outer keeps the whole packet,
#    in which tshark shows vxlan.vni;
#  - -w - writes a file to a pipe that tshark and the judge can read, and nothing else;
#  - --autostop ends a source that never ends;
#  - status 0, and the ledger balances: offered, written and dropped are the frames of that output.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark

seed=${SEED:-7}
echo "seed $seed"
check "$work/in.pcap" "$seed" <<'END'
import random
import sys
import judge
import packets

chance = random.Random(int(sys.argv[2]))
made = []
for i, frame in enumerate(packets.flow_frames(chance, 4000)):
    vni = 100 + packets.flow_of(frame)[0] % 3
    made.append((1_700_000_000 * judge.NS + i * 1000, packets.mirror(frame, vni)))
judge.write_pcap(sys.argv[1], made)
END
input=--vdev=net_pcap0,rx_pcap=$work/in.pcap

# What the judge finds in the input, and what an output must hold.
cat >"$work/expected.py" <<'END'
import judge
import packets


def frames(capture, vnis=(100, 101, 102)):
    """[(time, frame, VNI, packet)] of these VNIs."""
    found = []
    for packet in judge.read(capture).packets:
        inner = judge.decapsulate(packet.data)
        if inner.vni in vnis:
            found.append((packet.time, inner.frame, inner.vni, packet.data))
    return found


def same(path, want, snaplen=None, times=True):
    after = judge.read(path)
    judge.compare([p.data for p in after.packets], [f[:snaplen] for _, f, _, _ in want], path)
    for got, (time, frame, vni, _) in zip(after.packets, want):
        judge.demand(not times or got.time == time, "%s: time %d", path, got.time)
        judge.demand(got.length == len(frame), "%s: length %d", path, got.length)
        if after.format == "pcapng":
            judge.demand(after.name(got) == f"vni{vni}", "%s: %s", path, after.name(got))


def written(output, count, size=None):
    judge.demand(output["offered"] == count, "%r: expected %d", output, count)
    judge.demand(output["written"] == count, "%r: expected %d", output, count)
    judge.demand(size is None or output["bytes"] == size, "%r: expected %r bytes", output, size)
END
export PYTHONPATH=$here:$work

for workers in 0 1; do
	use_lcores $((workers + 2))

	sink null "$input" -- -W "$workers" -a idle:100 --summary "$work/null.json"
	assert_ledger "$work/null.json"
	check "$work/null.json" "$work/in.pcap" <<-'END'
		import sys, judge, expected
		summary, want = judge.load(sys.argv[1]), expected.frames(sys.argv[2])
		judge.check_fates(summary, {"delivered": 4000})
		judge.demand(len(summary["outputs"]) == 1, "outputs: %r", summary["outputs"])
		judge.demand(summary["outputs"][0]["type"] == "null", "%r", summary["outputs"])
		expected.written(summary["outputs"][0], 4000, sum(len(f) for _, f, _, _ in want))
	END
	grep -q delivered "$work/null.out" || fail "no ledger is printed"

	for form in pcapng pcap; do
		sink "$form" "$input" -- -W "$workers" -w "$work/file.$form" -a idle:100 \
			--summary "$work/s.json"
		assert_ledger "$work/s.json"
		check "$work/s.json" "$work/in.pcap" "$work/file.$form" <<-'END'
			import sys, judge, expected
			summary, want = judge.load(sys.argv[1]), expected.frames(sys.argv[2])
			expected.same(sys.argv[3], want)
			expected.written(summary["outputs"][0], 4000, sum(len(f) for _, f, _, _ in want))
		END
	done

	sink port "$input" "--vdev=net_pcap1,tx_pcap=$work/port.pcap" -- -W "$workers" \
		-f net_pcap1 -a idle:100 --summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work/s.json" "$work/in.pcap" "$work/port.pcap" <<-'END'
		import sys, judge, expected
		summary, want = judge.load(sys.argv[1]), expected.frames(sys.argv[2])
		expected.same(sys.argv[3], want, times=False)
		expected.written(summary["outputs"][0], 4000, sum(len(f) for _, f, _, _ in want))
	END

	sink ring "$input" --vdev=net_ring0 -- -W "$workers" -f net_ring0 -a idle:100 \
		--when-full drop --summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work/s.json" <<-'END'
		import sys, judge
		summary = judge.load(sys.argv[1])
		ring, fates = summary["outputs"][0], summary["fates"]
		# a worker that is slow is not waited for either
		judge.demand(fates["delivered"] + fates["ring_full"] == 4000, "%r", fates)
		offered = fates["delivered"]
		judge.demand(ring["offered"] == offered, "%r", ring)
		judge.demand(ring["written"] == offered or 512 <= ring["written"] < 2048, "%r", ring)
		judge.demand(ring["dropped"]["port_full"] == offered - ring["written"], "%r", ring)
	END

	program_line "$MIRRORSINK" pipe "$input" -- -W "$workers" -w - -a idle:100 \
		--summary "$work/s.json"
	"${line[@]}" 2>"$work/pipe.err" | tee "$work/piped" | tshark -r - -T fields -e frame.number \
		-e frame.interface_name >"$work/piped.txt" 2>/dev/null
	assert_ledger "$work/s.json"
	assert_equal "$(wc -l <"$work/piped.txt")" 4000 "frames that tshark reads from the pipe"
	assert_equal "$(cut -f 2 "$work/piped.txt" | sort -u | xargs)" "vni100 vni101 vni102" "names"
	check "$work/in.pcap" "$work/piped" <<-'END'
		import sys, expected
		expected.same(sys.argv[2], expected.frames(sys.argv[1]))
	END

	sink snaplen "$input" -- -W "$workers" -w "$work/cut.pcapng" -s 60 -a idle:100 \
		--summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work/s.json" "$work/in.pcap" "$work/cut.pcapng" <<-'END'
		import sys, judge, expected
		summary, want = judge.load(sys.argv[1]), expected.frames(sys.argv[2])
		expected.same(sys.argv[3], want, snaplen=60)
		size = sum(min(len(f), 60) for _, f, _, _ in want)
		expected.written(summary["outputs"][0], 4000, size)
	END

	sink outer "$input" -- -W "$workers" -w "$work/outer.pcapng" --outer -a idle:100 \
		--summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work/in.pcap" "$work/outer.pcapng" <<-'END'
		import sys, judge, expected
		want, after = expected.frames(sys.argv[1]), judge.read(sys.argv[2])
		judge.compare([p.data for p in after.packets], [raw for _, _, _, raw in want], "outer")
		for got, (time, _, vni, raw) in zip(after.packets, want):
		    judge.demand(got.time == time and got.length == len(raw), "%r", got)
		    judge.demand(after.name(got) == f"vni{vni}", "%s", after.name(got))
	END
	tshark -r "$work/outer.pcapng" -T fields -e vxlan.vni 2>/dev/null | sort | uniq -c |
		xargs >"$work/vnis.txt"
	tshark -r "$work/in.pcap" -T fields -e vxlan.vni 2>/dev/null | sort | uniq -c |
		xargs >"$work/expected.txt"
	assert_equal "$(cat "$work/vnis.txt")" "$(cat "$work/expected.txt")" "vxlan.vni in tshark"
done

# Several outputs at once, by routes; two sessions go to one output, one session to three. Every
# worker has a file of its own, and a queue.
cat >"$work/routes.json" <<END
{
	"Outputs": [
		{"Name": "archive", "Type": "pcapng", "Path": "$work/archive-w{worker}.pcapng"},
		{"Name": "small", "Type": "pcap", "Path": "$work/small-w{worker}.pcap", "Snaplen": 40},
		{"Name": "whole", "Type": "pcapng", "Path": "$work/whole-w{worker}.pcapng",
		 "Frame": "outer"},
		{"Name": "ids", "Type": "port", "Port": "net_pcap1"},
		{"Name": "count", "Type": "null"}
	],
	"Routes": [
		{"VirtualNetworkId": 100, "Outputs": ["archive", "ids", "count"]},
		{"VirtualNetworkId": 101, "Outputs": ["archive", "small"]},
		{"VirtualNetworkId": 102, "Outputs": ["whole"]},
		{"VirtualNetworkId": 102, "Outputs": ["count"]}
	]
}
END
for workers in 0 1 2; do
	use_lcores $((workers + 2))
	rm -f "$work"/*-w*.pcap*
	port=net_pcap1 # as many queues as there are lcores that send
	for ((i = 0; i == 0 || i < workers; i++)); do
		port+=,tx_pcap=$work/ids-w$i.pcap
	done
	sink "routes$workers" "$input" "--vdev=$port" -- \
		-W "$workers" -c "$work/routes.json" -a idle:100 --summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work" "$workers" <<-'END'
		import glob, sys, judge, expected, packets
		work, workers = sys.argv[1], int(sys.argv[2])
		summary = judge.load(f"{work}/s.json")
		judge.check_fates(summary, {"delivered": 4000})

		def order(frames, what):
		    """The frames of every flow are in order, without a gap."""
		    last = {}
		    for frame in frames:
		        flow, at = packets.flow_of(frame)
		        judge.demand(last.get(flow, -1) + 1 == at, "%s: flow %d, frame %d", what, flow, at)
		        last[flow] = at
		    return set(last)

		def check(name, vnis, snaplen=None, outer=False):
		    want, flows = expected.frames(f"{work}/in.pcap", vnis), []
		    paths = sorted(glob.glob(f"{work}/{name}-w*"))
		    judge.demand(len(paths) == max(workers, 1), "%r", paths)
		    got = []
		    for path in paths:
		        after = judge.read(path)
		        for p in after.packets:
		            judge.demand(p.length >= len(p.data), "%r", p)
		            if after.format == "pcapng":
		                vni = int(after.name(p)[3:])
		                judge.demand(vni in vnis, "%s: VNI %d", path, vni)
		        data = [p.data for p in after.packets]
		        if not snaplen:
		            inner = [judge.decapsulate(d).frame for d in data] if outer else data
		            flows.append(order(inner, path))
		        got += data
		    for i, one in enumerate(flows):
		        for other in flows[:i]:
		            judge.demand(not one & other, "%s: a flow in two files", name)
		    if workers == 2:
		        judge.demand(all(flows), "%s: a worker had nothing to do", name)
		    wanted = [(raw if outer else frame)[:snaplen] for _, frame, _, raw in want]
		    judge.demand(sorted(got) == sorted(wanted), "%s: other frames than expected", name)
		    expected.written(judge.output_named(summary, name), len(want))

		check("archive", (100, 101))
		check("small", (101,), snaplen=40)
		check("whole", (102,), outer=True)
		check("ids", (100,))
		expected.written(judge.output_named(summary, "count"),
		                 len(expected.frames(f"{work}/in.pcap", (100, 102))))
	END
done

# One output over two ports with two queues each, for every lane.
cat >"$work/spread.json" <<END
{"Outputs": [{"Name": "ids", "Type": "port", "Ports": ["net_pcap1", "net_pcap2"], "Queues": 2}]}
END
for workers in 0 1 2; do
	use_lcores $((workers + 2))
	rm -f "$work"/spread-*.pcap
	ports=()
	for port in 1 2; do
		one=net_pcap$port
		for ((i = 0; i < 2 || i < 2 * workers; i++)); do
			one+=,tx_pcap=$work/spread-$port-$i.pcap
		done
		ports+=("--vdev=$one")
	done
	sink "spread$workers" "$input" "${ports[@]}" -- \
		-W "$workers" -c "$work/spread.json" -a idle:100 --summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work" "$workers" <<-'END'
		import glob, sys, judge, expected, packets
		work, workers = sys.argv[1], int(sys.argv[2])
		want = expected.frames(f"{work}/in.pcap")
		expected.written(judge.load(f"{work}/s.json")["outputs"][0], 4000)
		paths, place, got = sorted(glob.glob(f"{work}/spread-*.pcap")), {}, []
		judge.demand(len(paths) == 4 * max(workers, 1), "%r", paths)
		for path in paths:
		    last = {}
		    for packet in judge.read(path).packets:
		        flow, at = packets.flow_of(packet.data)
		        judge.demand(place.setdefault(flow, path) == path, "flow %d in two files", flow)
		        judge.demand(last.get(flow, -1) + 1 == at, "flow %d: frame %d", flow, at)
		        last[flow] = at
		        got.append(packet.data)
		    if workers < 2:
		        judge.demand(len(last) >= 2, "%s has %d flows of 40", path, len(last))
		for port in 1, 2:
		    mine = sum(path.startswith(f"{work}/spread-{port}") for path in place.values())
		    judge.demand(10 <= mine <= 30, "port %d has %d flows of 40", port, mine)
		judge.demand(sorted(got) == sorted(f for _, f, _, _ in want), "other frames")
	END
done
use_lcores 2

# A source without an end.
sink packets "$input,infinite_rx=1" -- -a packets:10000 --summary "$work/s.json"
assert_ledger "$work/s.json"
received=$(get "$work/s.json" received.packets)
((received >= 10000)) || fail "stopped after $received packets, not 10000"
sink duration "$input,infinite_rx=1" -- -a duration:1 --summary "$work/s.json"
assert_ledger "$work/s.json"
check "$work/s.json" <<'END'
import sys
import judge
seconds = judge.load(sys.argv[1])["seconds"]
judge.demand(0.9 <= seconds <= 3, "ran for %r seconds, not 1", seconds)
END
