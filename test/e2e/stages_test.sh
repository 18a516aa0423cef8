#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, 2,000 frames of some flows --> net_pcap0 --> mirrorsink, -W 0 and -W 1
#
# Only in a build with stage_cycles. Succeeds if the report and the summary tell for each stage how
# many packets went through it and what they took: with -W 0 and -W 1 all packets are received,
# looked up and settled on the rx lcore, those of flows that are not known yet go through decap,
# session, parse and filter, and no stage of the other topology has any. Where nothing is written
# with -W 0, only the latter go to the output: flows that are known count for it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-11}
echo "seed $seed"
check "$work" "$seed" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(int(sys.argv[2])), 2000)
made = [(1_700_000_000 * judge.NS + i * 1000, packets.mirror(f, 64)) for i, f in enumerate(frames)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
END

# stages NAME WORKERS OPTION...
stages() {
	local name=$1 workers=$2
	shift 2
	use_lcores $((workers + 2))
	sink "$name" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
		-W "$workers" -a idle:300 --summary "$work/$name.json" "$@"
	assert_ledger "$work/$name.json"
	check "$work/$name.json" "$work/$name.out" "$workers" "$name" <<'END'
import json
import re
import sys
import judge

summary, workers = json.load(open(sys.argv[1])), int(sys.argv[3])
counts = sys.argv[4] == "counts"
lcores = sorted({s["lcore"] for s in summary["stages"]})
judge.demand(len(lcores) == 1 + workers, "stages of lcores %r", lcores)
of = [{s["stage"]: s for s in summary["stages"] if s["lcore"] == lcore} for lcore in lcores]
all_of_them = {"rx", "flow", "settle"} | ({"dispatch", "ring"} if workers else {"release"})
if not workers and not counts:
    all_of_them.add("output")
for stage in all_of_them:
    judge.demand(of[0][stage]["packets"] == 2000, "%s: %r", stage, of[0][stage])
for stage in "decap", "session", "parse", "filter":
    judge.demand(0 < of[0][stage]["packets"] <= 2000, "%s: %r", stage, of[0][stage])
if counts:
    judge.demand(of[0]["output"]["packets"] == of[0]["filter"]["packets"], "%r", of[0])
judge.demand(("worker" in of[0]) is False and ("dispatch" in of[0]) is bool(workers), "%r", of[0])
if workers:
    for stage in "worker", "output", "release":
        judge.demand(of[1][stage]["packets"] == 2000, "%s: %r", stage, of[1][stage])
for stage in summary["stages"]:
    judge.demand(stage["cycles"] > 0, "%r", stage)
    told = re.search(rf"^ +{stage['lcore']} +{stage['stage']} +{stage['packets']} +([0-9.]+) ",
                     open(sys.argv[2]).read(), re.M)
    judge.demand(told is not None, "the report does not tell %r", stage)
    each = stage["cycles"] / stage["packets"]
    judge.demand(abs(float(told[1]) - each) <= 0.051, "%r, told as %s", stage, told[1])
END
}

stages counts 0
stages writes 0 -w "$work/out.pcapng"
stages workers 1
