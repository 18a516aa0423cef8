#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                  +--> by-id/{session}/{seq}.pcapng, 64 open at once
#     net_pcap0 --> mirrorsink ----+--> few/v{vni}-{seq}.pcapng, 5 open at once
#     4,000 packets, 12 VNIs       +--> all.pcapng
#
# Succeeds if, for -W 0 and 2,
#  - each file of a session has frames of this session alone, and all files of a session have all of
#    them: where all fit, one file for each session and lane; where few are open at once, in any
#    number of files, each frame once, each flow in order by the numbers of the files;
#  - the manifests have each file with its session, and their sums are the ledger's;
#  - a key that means nothing, and a folder that is not there, are refused with status 2;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check "$work" <<'END'
import random
import sys
import judge
import packets

chance, made = random.Random(5), []
for i, frame in enumerate(packets.flow_frames(chance, 4000)):
    made.append((i * 1000, packets.mirror(frame, 100 + packets.flow_of(frame)[0] % 12)))
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
END
input=--vdev=net_pcap0,rx_pcap=$work/in.pcap

for workers in 0 2; do
	use_lcores $((workers + 2))
	rm -rf "$work/out"
	mkdir -p "$work/out/by-id" "$work/out/few"
	cat >"$work/c.json" <<-END
		{"Outputs": [
		  {"Name": "id", "Type": "pcapng", "Path": "$work/out/by-id/{session}/{seq}.pcapng"},
		  {"Name": "few", "Type": "pcapng", "Path": "$work/out/few/v{vni}-{seq}.pcapng",
		   "MaxOpenFiles": 5},
		  {"Name": "all", "Type": "pcapng", "Path": "$work/out/all.pcapng"}
		]}
	END
	sink "sessions$workers" "$input" -- -W "$workers" -c "$work/c.json" -a idle:300 \
		--summary "$work/s.json"
	assert_ledger "$work/s.json"
	check "$work" "$workers" <<-'END'
		import collections, glob, json, re, sys
		import judge, packets
		work, lanes = sys.argv[1], max(int(sys.argv[2]), 1)
		want = collections.defaultdict(list)
		for packet in judge.read(f"{work}/in.pcap").packets:
		    inner = judge.decapsulate(packet.data)
		    want[inner.vni].append(inner.frame)
		summary = judge.load(f"{work}/s.json")
		judge.check_fates(summary, {"delivered": 4000})

		def check(name, pattern, vni_of):
		    output = judge.output_named(summary, name)
		    judge.demand(output["written"] == 4000 and not any(output["dropped"].values()),
		                 "%r", output)
		    got, files = collections.defaultdict(list), collections.Counter()
		    number = lambda path: int(re.search(r"(\d+)(-w\d+)?\.pcapng$", path)[1])
		    paths = sorted(glob.glob(f"{work}/out/{pattern}"), key=number)
		    for path in paths:
		        read, vni = judge.read(path), vni_of(path)
		        judge.demand({read.name(p) for p in read.packets} == {f"vni{vni}"}, "%s", path)
		        got[vni] += [p.data for p in read.packets]
		        files[vni] += 1
		    for vni, frames in want.items():
		        judge.demand(sorted(got[vni]) == sorted(frames), "%s: other frames of %d", name, vni)
		        last = {}
		        for frame in got[vni]:
		            flow, at = packets.flow_of(frame)
		            judge.demand(last.get(flow, -1) + 1 == at, "%s: flow %d, frame %d", name, flow, at)
		            last[flow] = at
		    lines = [json.loads(line) for manifest in glob.glob(
		        f"{work}/out/{pattern.rsplit('/', 1)[0]}/manifest.jsonl") for line in open(manifest)]
		    judge.demand(sorted(l["path"] for l in lines) == sorted(paths), "%s: manifests", name)
		    judge.demand(all(len(l["sessions"]) == 1 for l in lines), "%s: sessions", name)
		    judge.demand(sum(l["packets"] for l in lines) == 4000, "%s: packets", name)
		    return files

		ids = check("id", "by-id/*/*.pcapng", lambda p: int(p.split("/vni")[1].split("/")[0]))
		judge.demand(max(ids.values()) <= lanes, "files of a session: %r", ids)
		few = check("few", "few/*.pcapng", lambda p: int(p.split("/few/v")[1].split("-")[0]))
		judge.demand(sum(few.values()) > sum(ids.values()), "few are open, and none was closed: %r", few)
		print(f"{sum(ids.values())} files, {sum(few.values())} where five are open")
	END
done
use_lcores 2

mkdir "$work/bad" "$work/bad/out"
cd "$work/bad"
file()
{
	echo "{\"Outputs\": [{\"Name\": \"a\", \"Type\": \"pcapng\", $1}]}" >c.json
}
file '"Path": "a.pcapng", "MaxOpenFiles": 3'
refuse sink "a number of files that is one" 'c.json:1:[0-9]+: \$.Outputs\[0\].MaxOpenFiles: 3' -- \
	"$input" -- -c c.json
file '"Path": "{vni}.pcapng", "MaxOpenFiles": 0'
refuse sink "no file" 'MaxOpenFiles: 0: must be a whole number from 1 to 1024' -- "$input" -- -c c.json
file '"Path": "nowhere/{vni}.pcapng"'
refuse sink "no folder" "c.json:1:[0-9]+: output a: cannot write files in 'nowhere/'" -- \
	"$input" -- -c c.json
refused_all
