#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, without end --> net_pcap0 --> mirrorsink --> 000001.pcapng, 000002.pcapng, ...
#                                               ^
#                                            SIGKILL in the middle of it, 20 times, every other
#                                            time when there is something in a temporary file
#
# Succeeds if after each kill and the next start
#  - no temporary file of the killed run is left, and what became of it is reported;
#  - what was recovered opens in tshark without a complaint;
#  - each file of the killed run holds frames in order, none missing, and goes on where the file before
#    it ended, unless that was cut: what is lost is what was in buffers, and all together no more than
#    what comes in a second, or what buffers hold;
# and in the end
#  - capinfos reads every file without a complaint, and finds the packets that the manifest says;
#  - the manifest has a line for every file, and no other;
#  - the last run, which ends by SIGTERM, balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark capinfos

kills=20
seed=${SEED:-12}
echo "seed $seed"
RANDOM=$seed
check "$work" <<'END'
import sys
import judge
import packets as p

# frame i of 1,000 has its number in its first bytes of payload
made = [(1_700_000_000 * judge.NS + i,
         p.mirror(p.ether(p.ipv4(p.udp(i.to_bytes(4, "big") + bytes(200), 9, 9), p.UDP, "10.2.0.1",
                                 "10.3.0.1"), 0x0800), 64)) for i in range(1000)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
END
mkdir "$work/out"
cat >"$work/c.json" <<END
{"Outputs": [{"Name": "archive", "Type": "pcapng", "Path": "$work/out/{seq}.pcapng", "Snaplen": 64,
              "RotateBytes": "3MiB"}]}
END

# Prints the number of packets that were received, and the nanoseconds at which it was asked.
received()
{
	telemetry "$1" /mirrorsink/ledger | "$python" -c 'import json, sys, time
got = json.load(sys.stdin)["/mirrorsink/ledger"]["received"]
print(got["packets"] if isinstance(got, dict) else got, time.monotonic_ns())'
}

parts()
{
	find "$work/out" -name '*.part' | sort
}

# Kills a sink when it has written into a file that it has not finished.
kill_in_file()
{
	local tries
	for ((tries = 0; tries < 1000; tries++)); do
		kill -STOP "$1"
		sleep 0.01
		if [[ -n $(find "$work/out" -name '*.part' -size +0) ]]; then
			kill -KILL "$1"
			return
		fi
		kill -CONT "$1"
		sleep 0.00$((RANDOM % 10))
	done
	fail "no temporary file has anything in it"
}

# judge_run FIRST BEHIND RECEIVED RATE: the files of one killed run, from number FIRST on.
judge_run()
{
	check "$work/out" "$@" <<-'END'
		import json, os, struct, sys
		import judge

		out, first, behind, got, rate = sys.argv[1], *map(int, sys.argv[2:])
		with open(f"{out}/manifest.jsonl", encoding="utf-8") as file:
		    cut = {one["path"] for one in map(json.loads, file) if "recovered" in one}
		marks = [bytes(n.to_bytes(4, "big")[i] for n in range(1000)) for i in range(4)]
		frames, next_mark = 0, 0
		for number in range(first, behind):
		    path = f"{out}/{number:06}.pcapng"
		    if not os.path.exists(path):  # nothing was in it yet, nor can be in many behind it
		        judge.demand(number > behind - 8, "%s is missing", path)
		        next_mark = None
		        continue
		    with open(path, "rb") as file:
		        raw = file.read()
		    at = 0
		    while at < len(raw):  # faster than the judge, who looks at more
		        kind, length = struct.unpack_from("<II", raw, at)
		        judge.demand(12 <= length <= len(raw) - at, "%s: torn at %d", path, at)
		        if kind != 6:
		            at += length
		            continue
		        # as many frames as follow in blocks like this one: byte by byte, each of all of them
		        head, n = raw[at:at + 8], (len(raw) - at) // length
		        for i in range(8):
		            column = raw[at + i:at + n * length:length]
		            n = min(n, len(column) - len(column.lstrip(head[i:i + 1])))
		        at_number = at + 28 + 42
		        first_mark = int.from_bytes(raw[at_number:at_number + 4], "big")
		        judge.demand(next_mark in (None, first_mark), "%s: frame %d is %d, not %r", path, frames,
		                     first_mark, next_mark)
		        for i in range(4):
		            column = raw[at_number + i:at + n * length:length]
		            judge.demand(column == (marks[i] * (n // 1000 + 2))[first_mark:first_mark + n],
		                         "%s: byte %d of the numbers from frame %d on", path, i, frames)
		        next_mark = (first_mark + n) % 1000
		        frames += n
		        at += n * length
		    if path in cut:
		        next_mark = None
		buffers = (8 << 20) // 108  # frames of the default's memory; a disk that stalls fills it
		judge.demand(frames >= got - max(rate, buffers),
		             "%d received, at %d a second, and only %d kept", got, rate, frames)
		print(f"{got} received, {rate} a second, {frames} kept in {behind - first} files")
	END
}

# What the run that has just started made of the temporary files of the one before.
judge_recovery()
{
	local run=$1 part file complaint

	shift
	for part in "$@"; do
		[[ ! -e $part ]] || fail "$part is left"
		grep -q "\(recovered '${part%.part}'\|removed '$part'\): " "$work/$run.err" ||
			fail "$run says nothing about $part"
	done
	while read -r file; do
		complaint=$(tshark -r "$file" --disable-protocol eth -T fields -e frame.number 2>&1 >/dev/null |
			grep -v 'Running as user "root"' || true)
		[[ -z $complaint ]] || fail "$run: tshark about $file: $complaint"
	done < <(sed -n "s/.*recovered '\([^']*\)'.*/\1/p" "$work/$run.err")
}

first=1 got=0 rate=0
for ((i = 0; i <= kills; i++)); do
	mapfile -t left < <(parts)
	sink_start "run$i" "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- \
		-c "$work/c.json" --summary "$work/s.json"
	read -r got_before begin < <(received "run$i")
	sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
	read -r got_now end < <(received "run$i")
	if ((i == kills)); then
		stop "$pid" || fail "mirrorsink ends with status $?"
	elif ((i % 2)); then
		kill_in_file "$pid"
	else
		kill -KILL "$pid"
	fi
	wait "$pid" 2>/dev/null || true
	now=$((10#$(sed -n "s/.*output archive writes .*\/\([0-9]*\)\.pcapng/\1/p" "$work/run$i.err")))
	if ((i > 0)); then
		judge_recovery "run$i" "${left[@]}"
		judge_run "$first" "$now" "$got" "$rate"
	fi
	first=$now got=$got_now rate=$(((got_now - got_before) * 1000000000 / (end - begin)))
done
assert_ledger "$work/s.json"
[[ -z $(parts) ]] || fail "left: $(parts)"

capinfos -T -r -M -c "$work"/out/*.pcapng >"$work/counts" 2>"$work/capinfos.err" ||
	fail "capinfos: $(cat "$work/capinfos.err")"
complaint=$(grep -v 'Running as user "root"' "$work/capinfos.err" || true)
[[ -z $complaint ]] || fail "capinfos: $complaint"
check "$work" <<'END'
import json
import os
import sys
import judge

work = sys.argv[1]
with open(f"{work}/counts", encoding="utf-8") as file:
    counts = {os.path.basename(a): int(b) for a, b in (line.split("\t") for line in file)}
with open(f"{work}/out/manifest.jsonl", encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
listed = {os.path.basename(one["path"]): one["packets"] for one in lines}
judge.demand(len(listed) == len(lines), "a file stands in the manifest twice")
judge.demand(listed == counts, "manifest and capinfos differ: %r",
             sorted(set(listed.items()) ^ set(counts.items()))[:10])
recovered = sum(one.get("recovered", False) for one in lines)
print(f"{len(lines)} files, {recovered} recovered, {sum(counts.values())} frames")
judge.demand(recovered >= 10, "only %d files were recovered", recovered)
END
