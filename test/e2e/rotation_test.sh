#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                       +-- by size --> size.pcapng, size-2.pcapng, ...
#     in.pcap --> net_pcap0 --> mirrorsink
#                                       +-- by age ---> age.pcap, age-2.pcap, ...
#
# Succeeds if
#  - no file that rotates by size holds more than its limit, statistics at its end not counted;
#  - all files together hold every frame once, in order, at no seam one less or twice;
#  - each pcapng names its session, and its statistics count its own frames;
#  - a file that rotates by age is followed by the next while packets come;
#  - the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-11}
echo "seed $seed"
frames=30000
limit_bytes=1000000
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
  {"Name": "age", "Type": "pcap", "Path": "$work/age.pcap", "RotateSeconds": 1}
]}
END
sink rotate "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/c.json" -a idle:300 \
	--summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
check "$work" "$frames" "$limit_bytes" <<'END'
import glob
import os
import sys
import judge

work, n, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
judge.check_fates(judge.load(f"{work}/s.json"), {"delivered": n})
sent = judge.read(f"{work}/in.pcap").packets


def number(path):
    stem = os.path.basename(path).split(".")[0]
    return int(stem.split("-")[1]) if "-" in stem else 1


got = []
files = sorted(glob.glob(f"{work}/size*.pcapng"), key=number)
judge.demand(len(files) > 3, "only %d files", len(files))
for path in files:
    one = judge.read(path)
    got += one.packets
    judge.demand(os.path.getsize(path) <= limit + 4096, "%s: %d bytes", path, os.path.getsize(path))
    judge.demand(sorted(i.name for i in one.interfaces) == ["vni64", "vni65"], "%s: %r", path,
                 one.interfaces)
    judge.demand(sum(s.received for s in one.statistics) == len(one.packets), "%s: %r", path,
                 one.statistics)
    judge.demand(all(s.dropped == 0 for s in one.statistics), "%s: %r", path, one.statistics)
judge.demand([p.time for p in got] == [p.time for p in sent], "frames lost, twice, or out of order")
judge.compare([p.data for p in got], [judge.decapsulate(p.data).frame for p in sent], "size")
print(f"{len(files)} files by size")
END

# By age needs time: packets without end, for some seconds.
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
assert_equal "$count" "$(get "$work/s.json" outputs.1.written)" "frames in the files, written"
echo "$files files by age, $count frames"
