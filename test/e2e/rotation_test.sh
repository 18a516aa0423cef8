#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                       +-- by size --> size.pcapng, size-2.pcapng, ...
#     in.pcap --> net_pcap0 --> mirrorsink
#                                       +-- by packets --> packets.pcapng, packets-2.pcapng, ...
#                                       +-- by age ---> age.pcap, age-2.pcap, ...
#                                       +-- by the clock ---> clock.pcapng, clock-2.pcapng, ...
#
# Succeeds if
#  - no file that rotates by size holds more than its limit, statistics at its end not counted;
#  - each file that rotates by packets but the last holds exactly as many as it may;
#  - all files of each of the two together hold every frame once, in order, at no seam one less or twice;
#  - each pcapng names its session, and its statistics count its own frames;
#  - a file that rotates by age is followed by the next while packets come;
#  - one that is aligned to the clock holds no packets from before and after a full two seconds;
#  - the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-11}
echo "seed $seed"
frames=30000
limit_bytes=1000000
limit_packets=777
check "$work" "$seed" "$frames" <<'END'
import random
import sys
import judge
import packets

work, seed, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
base = packets.flow_frames(r, 500)
made = []
for i in range(n):  # two sessions; frame i is told by its timestamp
    made.append((1_700_000_000 * judge.NS + i * 1000, packets.mirror(base[i % 500], 64 + i % 2)))
judge.write_pcap(f"{work}/in.pcap", made)
judge.write_pcap(f"{work}/few.pcap", made[:1000])
END

cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "size", "Type": "pcapng", "Path": "$work/size.pcapng", "RotateBytes": $limit_bytes},
  {"Name": "packets", "Type": "pcapng", "Path": "$work/packets.pcapng", "RotatePackets": $limit_packets},
  {"Name": "age", "Type": "pcap", "Path": "$work/age.pcap", "RotateSeconds": 1}
]}
END
sink rotate "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/c.json" -a idle:300 \
	--summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
check "$work" "$frames" "$limit_bytes" "$limit_packets" <<'END'
import glob
import os
import sys
import judge

work, n, limit, limit_packets = sys.argv[1], *map(int, sys.argv[2:])
judge.check_fates(judge.load(f"{work}/s.json"), {"delivered": n})
sent = judge.read(f"{work}/in.pcap").packets


def number(path):
    stem = os.path.basename(path).split(".")[0]
    return int(stem.split("-")[1]) if "-" in stem else 1


def follow(name):
    """The files of an output in their order, with their sizes; they are whole together."""
    got, files = [], []
    for path in sorted(glob.glob(f"{work}/{name}*.pcapng"), key=number):
        one = judge.read(path)
        files.append((path, os.path.getsize(path), len(one.packets)))
        got += one.packets
        judge.demand(sorted(i.name for i in one.interfaces) == ["vni64", "vni65"], "%s: %r", path,
                     one.interfaces)
        judge.demand(sum(s.received for s in one.statistics) == len(one.packets), "%s: %r", path,
                     one.statistics)
        judge.demand(all(s.dropped == 0 for s in one.statistics), "%s: %r", path, one.statistics)
    judge.demand([p.time for p in got] == [p.time for p in sent],
                 "%s: frames lost, twice, or out of order", name)
    judge.compare([p.data for p in got], [judge.decapsulate(p.data).frame for p in sent], name)
    return files


by_size = follow("size")
judge.demand(len(by_size) > 3, "only %d files", len(by_size))
for path, size, _ in by_size:
    judge.demand(size <= limit + 4096, "%s: %d bytes", path, size)
by_packets = follow("packets")
for path, _, packets in by_packets[:-1]:
    judge.demand(packets == limit_packets, "%s: %d packets", path, packets)
print(f"{len(by_size)} files by size, {len(by_packets)} by packets")
END

# By age needs time: packets without end, for some seconds.
rm "$work"/{size,packets,age}*
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "age", "Type": "pcap", "Path": "$work/age.pcap", "RotateSeconds": 1},
  {"Name": "clock", "Type": "pcapng", "Path": "$work/clock.pcapng", "RotateSeconds": 2, "RotateAligned": true}
]}
END
sink endless "--vdev=net_pcap0,rx_pcap=$work/few.pcap,infinite_rx=1" -- -c "$work/c.json" -s 60 \
	-a duration:4 --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
need_command capinfos
count=0
files=0
for file in "$work"/age*.pcap; do
	count=$((count + $(capinfos -T -r -M -c "$file" 2>/dev/null | cut -f 2)))
	files=$((files + 1))
done
((files >= 3)) || fail "only $files files in 4 seconds of one each"
assert_equal "$count" "$(get "$work/s.json" outputs.0.written)" "frames in the files, written"
echo "$files files by age, $count frames"

# Within one period, but for what it takes until an lcore looks at the clock, on a busy machine too.
files=0
for file in "$work"/clock*.pcapng; do
	read -r first last < <(capinfos -T -r -M -S -a -e "$file" 2>/dev/null | cut -f 2,3)
	"$python" -c 'import sys
first, last = map(float, sys.argv[1:])
sys.exit(last > (first // 2 + 1) * 2 + 0.5)' "$first" "$last" ||
		fail "$file holds packets from $first to $last"
	files=$((files + 1))
done
((files >= 2)) || fail "only $files files in 4 seconds, aligned to 2"
echo "$files files by the clock"
