#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap --> mirrorsource ------------------------> plain.pcap
#         |                                                  : compared
#         +-----> mirrorsource --fault ... --seed N ---> faulty.pcap --> mirrorsink
#
# Frames are known again by their timestamps, which mirrorsource keeps.
#
# Succeeds if
#  - packets that are missing, come twice, or have one bit turned, are as many as the summary says,
#    no packet has more than that, and rates are about what was asked for;
#  - the same seed gives the same file, to a file, to a port, and in --loop; another seed another;
#  - so it is at a rate at which packets wait for longer than any is held back for;
#  - a seed that was not given is told, and gives the same file again;
#  - so it is with documents of two source interfaces that both see each frame;
#  - mirrorsink receives what mirrorsource has sent, all ledgers balance;
#  - wrong options end mirrorsource with status 2 and a message that names them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

frames=6000
seed=${SEED:-3}
echo "seed $seed"
check "$work/in.pcap" "$frames" "$seed" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(int(sys.argv[3])), int(sys.argv[2]))
judge.write_pcap(sys.argv[1], [(10**18 + i * 1000, frame) for i, frame in enumerate(frames)])
END

# Judges faulty packets by plain ones: judge_it.py PLAIN FAULTY SUMMARY SINK-SUMMARY ROUNDS
cat >"$work/judge_it.py" <<'END'
import sys
import judge

plain = {one.time: one.data for one in judge.read(sys.argv[1]).packets}
faulty = judge.read(sys.argv[2]).packets
summary, sink, rounds = judge.load(sys.argv[3]), judge.load(sys.argv[4]), int(sys.argv[5])
faults, packets = summary["faults"], summary["packets"]
of = len(plain) * rounds
judge.demand(summary["balanced"] is True, "it does not balance: %r", summary)
judge.demand(summary["received"]["packets"] == summary["fates"]["mirrored"] == of, "%r", summary)
judge.demand(packets["mirrored"] + packets["duplicated"] == sum(packets[name] for name in (
    "sent", "lost", "tx_full", "not_written")), "%r", packets)
judge.demand(packets["mirrored"] == of and packets["tx_full"] == packets["not_written"] == 0 and
             packets["sent"] == len(faulty) == summary["sent"]["packets"], "%r", packets)
judge.demand(summary["sent"]["bytes"] == sum(len(one.data) for one in faulty), "%r", summary)
judge.demand(packets["lost"] == faults["loss"], "%r, %r", packets, faults)
judge.demand(packets["duplicated"] == faults["duplicate"], "%r, %r", packets, faults)

times, corrupt, late, highest = {}, 0, 0, 0
for one in faulty:
    want = plain[one.time]
    judge.demand(len(one.data) == len(want), "%d: %d bytes", one.time, len(one.data))
    bits = bin(int.from_bytes(one.data, "big") ^ int.from_bytes(want, "big")).count("1")
    judge.demand(bits <= 1, "%d: %d bits are turned", one.time, bits)
    corrupt += bits
    times[one.time] = times.get(one.time, 0) + 1
    late += one.time < highest
    highest = max(highest, one.time)
judge.demand(corrupt == faults["corrupt"], "%d are corrupt: %r", corrupt, faults)
if rounds == 1:
    lost = sum(time not in times for time in plain)
    twice = sum(n == 2 for n in times.values())
    judge.demand(max(times.values()) <= 2, "one came %d times", max(times.values()))
    judge.demand(lost == faults["loss"], "%d are lost: %r", lost, faults)
    judge.demand(twice == faults["duplicate"], "%d came twice: %r", twice, faults)
    # an original that its own copy overtook has the same time
    judge.demand(late <= faults["reorder"] <= late + twice, "%d are late: %r", late, faults)
for name, rate in (("loss", 0.05), ("duplicate", 0.05), ("reorder", 0.05), ("corrupt", 0.02)):
    judge.demand(0.6 < faults[name] / (of * rate) < 1.4, "%s of %d: %r", name, of, faults)
judge.check_ledger(sink)
judge.demand(sink["received"] == summary["sent"], "sent %r, received %r", summary["sent"],
             sink["received"])
judge.demand(0 < sink["received"]["packets"] - sink["fates"]["delivered"] <= corrupt,
             "corrupt %d, fates %r", corrupt, sink["fates"])
END

input=--vdev=net_pcap0,rx_pcap=$work/in.pcap
faults=(--fault duplicate:5% --fault loss:0.05 --fault reorder:5% --fault corrupt:2%)

source_run plain "$input" -- -w "$work/plain.pcap" -a idle:100 --vni 64

# faulty RUN ROUNDS OUTPUT [OPTIONS]: mirrors with faults to RUN.pcap, judges it.
faulty()
{
	local run=$1 rounds=$2 output=$3

	shift 3
	if [[ $output == port ]]; then
		source_run "$run" "$input" "--vdev=net_pcap1,tx_pcap=$work/$run.pcap" -- \
			-t net_pcap1 --mtu 9000 --summary "$work/$run.json" --vni 64 \
			-a idle:100 "${faults[@]}" "$@"
		# the driver stamps what it writes
		check "$work/$run.pcap" "$work/plain.pcap" "$work/first.pcap" <<'END'
import sys
import judge

port, plain, first = (judge.read(name).packets for name in sys.argv[1:])
judge.compare([one.data for one in port], [one.data for one in first], "to a port")
END
		return
	fi
	source_run "$run" "$input" -- -w "$work/$run.pcap" --summary "$work/$run.json" --vni 64 \
		-a idle:100 "${faults[@]}" "$@"
	sink "$run-sink" "--vdev=net_pcap0,rx_pcap=$work/$run.pcap" -- -a idle:100 \
		--summary "$work/$run-sink.json"
	check "$work/plain.pcap" "$work/$run.pcap" "$work/$run.json" "$work/$run-sink.json" \
		"$rounds" <"$work/judge_it.py"
}

faulty first 1 file --seed 20
faulty again 1 file --seed 20
cmp "$work/first.pcap" "$work/again.pcap" || fail "one seed, two outcomes"
faulty port 1 port --seed 20 --source-mac 02:00:00:00:00:01
faulty other 1 file --seed 21
! cmp -s "$work/first.pcap" "$work/other.pcap" || fail "two seeds, one outcome"
faulty loop 3 file --seed 20 --loop 3
faulty random 1 file
told=$(sed -n 's/.*faults.*--seed \([0-9]*\)$/\1/p' "$work/random.err")
[[ -n $told ]] || fail "no seed is told: $(cat "$work/random.err")"
faulty told 1 file --seed "$told"
cmp "$work/random.pcap" "$work/told.pcap" || fail "the seed that was told is another one"

check "$work/in.pcap" "$work/few.pcap" <<'END'
import sys
import judge

judge.write_pcap(sys.argv[2], [(p.time, p.data) for p in judge.read(sys.argv[1]).packets[:14]])
END
for rate in 1Mpps 7pps; do
	source_run slow "--vdev=net_pcap0,rx_pcap=$work/few.pcap" -- -w "$work/at-$rate.pcap" \
		--fault reorder:50% --seed 1 --rate "$rate" --summary "$work/slow.json"
done
cmp "$work/at-1Mpps.pcap" "$work/at-7pps.pcap" || fail "a slow rate changes the order"
(($(get "$work/slow.json" faults.reorder) > 0)) || fail "none is late"

# Both ends of each frame are source interfaces, so that a burst makes twice as many packets.
check "$work/documents.json" <<'END'
import json
import sys

rule = {"RuleNumber": 1, "RuleAction": "accept"}
document = {
    "TrafficMirrorFilters": [{
        "TrafficMirrorFilterId": "tmf-1",
        "IngressFilterRules": [dict(rule, TrafficDirection="ingress")],
        "EgressFilterRules": [dict(rule, TrafficDirection="egress")]}],
    "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", "Type": "network-interface",
                              "NetworkInterfaceId": "eni-9"}],
    "NetworkInterfaces": [
        {"NetworkInterfaceId": f"eni-{i}", "MacAddress": f"02:00:00:00:00:{i:02x}",
         "PrivateIpAddress": f"10.9.0.{i}", "VpcId": "vpc-1"} for i in (1, 2, 9)],
    "TrafficMirrorSessions": [
        {"TrafficMirrorSessionId": f"tms-{i}", "TrafficMirrorTargetId": "tmt-1",
         "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": f"eni-{i}", "SessionNumber": 1,
         "VirtualNetworkId": 70 + i} for i in (1, 2)],
}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(document, file)
END
for run in both again-both; do
	source_run "$run" "$input" -- -c "$work/documents.json" -w "$work/$run.pcapng" -a idle:100 \
		--summary "$work/$run.json" "${faults[@]}" --seed 5
	sink "$run-sink" "--vdev=net_pcap0,rx_pcap=$work/$run.pcapng" -- -a idle:100 \
		--summary "$work/$run-sink.json"
done
cmp "$work/both.pcapng" "$work/again-both.pcapng" || fail "documents: one seed, two outcomes"
check "$work/both.json" "$work/both-sink.json" "$frames" <<'END'
import sys
import judge

summary, sink, frames = judge.load(sys.argv[1]), judge.load(sys.argv[2]), int(sys.argv[3])
packets = summary["packets"]
judge.demand(summary["balanced"] is True, "%r", summary)
judge.demand(summary["seen_twice"] == frames == summary["received"]["packets"], "%r", summary)
judge.demand(packets["mirrored"] == 2 * frames, "%r", packets)
judge.demand(packets["sent"] == 2 * frames + packets["duplicated"] - packets["lost"], "%r", packets)
for name, rate in (("loss", 0.05), ("duplicate", 0.05), ("reorder", 0.05), ("corrupt", 0.02)):
    judge.demand(0.7 < summary["faults"][name] / (2 * frames * rate) < 1.3, "%r", summary["faults"])
judge.check_ledger(sink)
judge.demand(sink["received"] == summary["sent"], "%r, %r", sink["received"], summary["sent"])
END

# refused MESSAGE OPTIONS...: status 2, and standard error says it.
refused()
{
	local status=0 message=$1

	shift
	source_run refused "$input" -- -w "$work/refused.pcap" "$@" || status=$?
	assert_equal "$status" 2 "status with $*"
	grep -Eq -e "$message" "$work/refused.err" || fail "$*: $(cat "$work/refused.err")"
	[[ ! -e $work/refused.pcap ]] || fail "$*: left a file behind"
}
refused 'fault.*flood:1' --fault flood:1
refused 'fault.*loss' --fault loss
refused 'fault.*loss:2' --fault loss:2
refused 'fault.*loss:101%' --fault loss:101%
refused 'fault.*loss:often' --fault loss:often
refused 'seed.*--fault' --seed 1
refused 'seed.*-1' --fault loss:1% --seed -1
