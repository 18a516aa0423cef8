#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, 2,000 frames of some flows --> net_pcap0 --> mirrorsink, -W 0 and -W 1
#
# Only in a build with stage_cycles. Succeeds if the report and the summary tell for each stage how
# many packets went through it and what they took: with -W 0 and -W 1 all packets are received,
# looked up and settled on the rx lcore, those of flows that are not known yet go through decap,
# session, parse and filter, and no stage of the other topology has any.
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

for workers in 0 1; do
	use_lcores $((workers + 2))
	sink "w$workers" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
		-W "$workers" -a idle:300 --summary "$work/s$workers.json"
	assert_ledger "$work/s$workers.json"
	check "$work/s$workers.json" "$work/w$workers.out" "$workers" <<'END'
import json
import re
import sys
import judge

summary, workers = json.load(open(sys.argv[1])), int(sys.argv[3])
lcores = sorted({s["lcore"] for s in summary["stages"]})
judge.demand(len(lcores) == 1 + workers, "stages of lcores %r", lcores)
of = [{s["stage"]: s for s in summary["stages"] if s["lcore"] == lcore} for lcore in lcores]
all_of_them = {"rx", "flow", "settle"} | ({"dispatch", "ring"} if workers else {"output"})
for stage in all_of_them:
    judge.demand(of[0][stage]["packets"] == 2000, "%s: %r", stage, of[0][stage])
for stage in "decap", "session", "parse", "filter":
    judge.demand(0 < of[0][stage]["packets"] <= 2000, "%s: %r", stage, of[0][stage])
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
done
