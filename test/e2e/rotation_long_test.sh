#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, 2 GB --> net_pcap0 --> mirrorsink --> out.pcapng, out-2.pcapng, ... of 10 MiB each
#
# Succeeds if
#  - no file is longer than 10 MiB, statistics at its end not counted, and all but the last are full;
#  - all of them together hold every frame once, in order: none is lost or twice at a boundary;
#  - capinfos counts as many frames as were written;
#  - the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command capinfos
(($(df --output=avail -m "$work" | tail -n 1) > 6000)) || skip "no 6 GB of room in $work"

frames=700000
check "$work" "$frames" <<'END'
import random
import struct
import sys
import packets as p

chance = random.Random(10)
n = int(sys.argv[2])
made = []
for i in range(500):
    size = chance.choice([1, 40, 1400, 2900, 3000, 8800, chance.randrange(8800)])
    frame = p.ether(p.ipv4(p.udp(bytes(size), 9, 9), p.UDP, "10.2.0.1", "10.3.0.1"), 0x0800)
    packet = p.mirror(frame, 64 + i % 2)
    made.append(struct.pack("<II", len(packet), len(packet)) + packet)
with open(f"{sys.argv[1]}/in.pcap", "wb") as file:
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    for i in range(n):  # each is told by its timestamp
        file.write(struct.pack("<II", i // 1000000, i % 1000000) + made[i % 500])
END

mkdir "$work/out"
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "out", "Type": "pcapng", "Path": "$work/out/out.pcapng", "RotateBytes": "10MiB"}
]}
END
limit=180 sink long "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/c.json" -a idle:500 \
	--summary "$work/s.json" || fail "status $?"
rm "$work/in.pcap"
assert_ledger "$work/s.json"
assert_equal "$(get "$work/s.json" outputs.0.written)" "$frames" "written"
(($(get "$work/s.json" outputs.0.bytes) > 2000000000)) || fail "less than 2 GB: $(cat "$work/s.json")"

# A reader of blocks of its own: that of judge.py would take minutes for so many.
check "$work" "$frames" <<'END'
import glob
import os
import struct
import sys
import judge

LIMIT = 10 << 20
work, frames = sys.argv[1], int(sys.argv[2])


def number(path):
    stem = os.path.basename(path).split(".")[0]
    return int(stem.split("-")[1]) if "-" in stem else 1


files = sorted(glob.glob(f"{work}/out/out*.pcapng"), key=number)
judge.demand(len(files) > 190, "only %d files", len(files))
block, following, count = struct.Struct("<II"), 0, 0
for path in files:
    with open(path, "rb") as file:
        raw = file.read()
    judge.demand(len(raw) <= LIMIT + 4096, "%s: %d bytes", path, len(raw))
    judge.demand(path == files[-1] or len(raw) > LIMIT - 10000, "%s: %d bytes", path, len(raw))
    at = 0
    while at < len(raw):
        kind, total = block.unpack_from(raw, at)
        judge.demand(12 <= total <= len(raw) - at, "%s: block of %d at %d", path, total, at)
        judge.demand(raw[at + 4 : at + 8] == raw[at + total - 4 : at + total], "%s: %d", path, at)
        if kind == 6:
            high, low = block.unpack_from(raw, at + 12)
            judge.demand((high << 32 | low) == following * 1000, "%s: frame %d, expected %d", path,
                         (high << 32 | low) // 1000, following)
            following += 1
        at += total
judge.demand(following == frames, "%d frames", following)
print(f"{len(files)} files")
END
counted=$(capinfos -T -r -M -c "$work"/out/*.pcapng 2>/dev/null | awk -F '\t' '{n += $2} END {print n}')
assert_equal "$counted" "$frames" "frames in the files, as capinfos counts"
