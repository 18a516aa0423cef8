#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                                       +-- plain ---> plain.pcapng, plain.pcap
#     in.pcap --> net_pcap0 --> mirrorsink -- zstd --> zstd.pcapng.zst, zstd.pcap.zst
#                                       +-- lz4 ----> lz4.pcapng.lz4, lz4.pcap.lz4
#
# Succeeds if, with and without a worker,
#  - tshark opens what was compressed, and sees the same packets as in what was not: time, interface,
#    lengths, and hash of the bytes; unpacked by zstd and lz4 it is the very same file;
#  - `zstd -t` and `lz4 -t` find nothing wrong;
#  - files that follow each other hold every frame once, in order, and the manifest has length and hash
#    of what is on the disk;
#  - what zstd at its highest level can't keep up with is counted as writer_backlog, tshark finds the
#    frames that were written, and an output beside it loses nothing;
#  - after SIGKILL in the middle of it the next start recovers what was whole: zstd, lz4 and tshark find
#    nothing wrong with it, and the manifest says how many packets are in it;
#  - the ledger balances each time.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark capinfos zstd lz4 sha256sum

seed=${SEED:-21}
echo "seed $seed"
frames=12000
check "$work" "$seed" "$frames" <<'END'
import random
import sys
import judge
import packets

work, seed, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
base = packets.flow_frames(random.Random(seed), 500)
made = []
for i in range(n):  # frame i is told by its timestamp; few are of session 65
    made.append((1_700_000_000 * judge.NS + i * 1000,
                 packets.mirror(base[i % 500], 65 if i % 200 == 0 else 64)))
judge.write_pcap(f"{work}/in.pcap", made)
judge.write_pcap(f"{work}/few.pcap", made[:1000])
END

# unpack FILE: to standard output. intact FILE: the tool's own check, and what tshark complains of,
# which reads all packets but does not look into them: some are of hundreds of thousands.
unpack()
{
	case $1 in
	*.zst) zstd -dcq "$1" ;;
	*.lz4) lz4 -dcq "$1" ;;
	esac
}

intact()
{
	local complaint

	case $1 in
	*.zst) zstd -tq "$1" || fail "zstd -t $1" ;;
	*.lz4) lz4 -tq "$1" || fail "lz4 -t $1" ;;
	esac
	complaint=$(tshark -r "$1" --disable-protocol eth -T fields -e frame.number 2>&1 >/dev/null |
		grep -v 'Running as user "root"' || true)
	[[ -z $complaint ]] || fail "tshark about $1: $complaint"
}

fields()
{
	tshark -r "$1" -o frame.generate_md5_hash:TRUE -T fields -e frame.time_epoch \
		-e frame.interface_name -e frame.len -e frame.cap_len -e frame.md5_hash \
		-e ip.src -e ip.dst 2>/dev/null
}

packets_in()
{
	capinfos -T -r -M -c "$1" 2>/dev/null | cut -f 2
}

# The same input, side by side.
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "plain", "Type": "pcapng", "Path": "$work/plain.pcapng"},
  {"Name": "zstd", "Type": "pcapng", "Path": "$work/zstd.pcapng", "Compress": "zstd", "CompressThreads": 3},
  {"Name": "lz4", "Type": "pcapng", "Path": "$work/lz4.pcapng.lz4", "Compress": "lz4"},
  {"Name": "old", "Type": "pcap", "Path": "$work/plain.pcap"},
  {"Name": "old-zstd", "Type": "pcap", "Path": "$work/zstd.pcap.zst", "Compress": "zstd", "CompressLevel": 1},
  {"Name": "old-lz4", "Type": "pcap", "Path": "$work/lz4.pcap", "Compress": "lz4", "CompressLevel": 4}
]}
END
for workers in 0 1; do
	use_lcores $((workers + 2))
	sink "same$workers" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -W "$workers" -c "$work/c.json" \
		-a idle:300 --when-full wait --summary "$work/s.json" || fail "status $?"
	assert_ledger "$work/s.json"
	grep -q 'output zstd: zstd at level 3 in 3 threads' "$work/same$workers.err" ||
		fail "no word of zstd"
	for kind in pcapng pcap; do
		fields "$work/plain.$kind" >"$work/fields"
		assert_equal "$(wc -l <"$work/fields")" "$frames" "packets in plain.$kind"
		for file in "$work/zstd.$kind.zst" "$work/lz4.$kind.lz4"; do
			intact "$file"
			fields "$file" | cmp - "$work/fields" || fail "$file: not the same packets"
			unpack "$file" | cmp - "$work/plain.$kind" || fail "$file: not the same file"
			(($(stat -c %s "$file") < $(stat -c %s "$work/plain.$kind"))) ||
				fail "$file is no smaller"
		done
	done
	rm "$work"/plain.* "$work"/zstd.* "$work"/lz4.*
done

# From one file to the next.
use_lcores 2
mkdir "$work/out"
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "z", "Type": "pcapng", "Path": "$work/out/z-{seq}.pcapng", "Compress": "zstd", "CompressThreads": 2,
   "RotatePackets": 777, "Sha256": true},
  {"Name": "l", "Type": "pcapng", "Path": "$work/out/l-{seq}.pcapng", "Compress": "lz4",
   "RotateBytes": 1000000, "Sha256": true}
]}
END
sink rotate "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/c.json" -a idle:300 \
	--when-full wait --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
for file in "$work"/out/*.{zst,lz4}; do
	intact "$file"
	unpack "$file" >"${file%.*}"
done
check "$work" <<'END'
import glob
import hashlib
import json
import os
import sys
import judge

work = sys.argv[1]
sent = [p.time for p in judge.read(f"{work}/in.pcap").packets]
with open(f"{work}/out/manifest.jsonl", encoding="utf-8") as file:
    lines = {one["path"]: one for one in map(json.loads, file)}
for name, suffix in ("z", ".zst"), ("l", ".lz4"):
    got = []
    paths = sorted(glob.glob(f"{work}/out/{name}-*{suffix}"))
    judge.demand(len(paths) > 3, "%s: only %d files", name, len(paths))
    for path in paths:
        one = judge.read(path.removesuffix(suffix))
        got += [p.time for p in one.packets]
        line = lines.pop(path)
        with open(path, "rb") as file:
            raw = file.read()
        judge.demand(line["packets"] == len(one.packets), "%s: %r", path, line)
        judge.demand(line["bytes"] == len(raw), "%s: %d bytes, %r", path, len(raw), line)
        judge.demand(line["sha256"] == hashlib.sha256(raw).hexdigest(), "%s: %r", path, line)
        if name == "z" and path != paths[-1]:
            judge.demand(len(one.packets) == 777, "%s: %d packets", path, len(one.packets))
        if name == "l":
            judge.demand(os.path.getsize(path.removesuffix(suffix)) <= 1_000_000 + 4096,
                         "%s is too long", path)
    judge.demand(got == sent, "%s: frames lost, twice, or out of order", name)
    print(f"{name}: {len(paths)} files")
judge.demand(not lines, "lines of other files: %r", list(lines))
END

# More than can be compressed.
cat >"$work/c.json" <<END
{"Outputs": [
   {"Name": "slow", "Type": "pcapng", "Path": "$work/slow.pcapng", "Compress": "zstd", "CompressLevel": 19},
   {"Name": "beside", "Type": "pcapng", "Path": "$work/beside.pcapng"}
 ],
 "Routes": [{"Outputs": ["slow"]}, {"VirtualNetworkId": 65, "Outputs": ["beside"]}]}
END
sink overload "--vdev=net_pcap0,rx_pcap=$work/few.pcap,infinite_rx=1" -- -c "$work/c.json" \
	-a duration:2 --when-full drop --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
intact "$work/slow.pcapng.zst"
offered=$(get "$work/s.json" outputs.0.offered) written=$(get "$work/s.json" outputs.0.written)
backlog=$(get "$work/s.json" outputs.0.dropped.writer_backlog)
((backlog > 0)) || fail "zstd kept up with $offered frames"
assert_equal "$((written + backlog))" "$offered" "written and dropped, offered"
assert_equal "$(packets_in "$work/slow.pcapng.zst")" "$written" "packets in the file, written"
beside=$(get "$work/s.json" outputs.1.offered)
((beside > 0)) || fail "nothing for the output beside it"
assert_equal "$(get "$work/s.json" outputs.1.written)" "$beside" "written beside it, offered"
assert_equal "$(packets_in "$work/beside.pcapng")" "$beside" "packets beside it, offered"
echo "$offered offered, $written written, $backlog dropped; $beside beside it"

# Killed in the middle of it.
mkdir "$work/killed"
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "z", "Type": "pcapng", "Path": "$work/killed/z-{seq}.pcapng", "Compress": "zstd", "Snaplen": 64},
  {"Name": "l", "Type": "pcap", "Path": "$work/killed/l-{seq}.pcap", "Compress": "lz4", "Snaplen": 64}
]}
END
# Has each file grown three times, or begun 2 s ago and all is read? What is cut off below must not
# be all that there is.
declare -A size=() grown=()
looks=0
begun()
{
	local part now some=3

	for part in z-000001.pcapng.zst l-000001.pcap.lz4; do
		now=$(stat -c %s "$work/killed/$part.part")
		if ((now > ${size[$part]:-10000})); then
			size[$part]=$now
			grown[$part]=$((${grown[$part]:-0} + 1))
		fi
		((${grown[$part]:-0} < some)) && some=${grown[$part]:-0}
	done
	((some == 3 || (some > 0 && ++looks > 40)))
}

# so many packets and no more, since all are read again: how many come before the kill is the
# machine's affair
cp "$work/few.pcap" "$work/many.pcap"
while (($(stat -c %s "$work/many.pcap") < 80000000)); do
	tail -c +25 "$work/few.pcap" >>"$work/many.pcap"
done
sink_start killed "--vdev=net_pcap0,rx_pcap=$work/many.pcap" -- -c "$work/c.json"
wait_for 20 begun || fail "nothing is written"
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
for part in "$work"/killed/*.part; do # as a kill in the middle of a write leaves it
	truncate -s -7 "$part"
done
sink after "--vdev=net_pcap0,rx_pcap=$work/few.pcap" -- -c "$work/c.json" -a idle:300 \
	--summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
[[ -z $(find "$work/killed" -name '*.part') ]] || fail "temporary files are left"
for file in z-000001.pcapng.zst l-000001.pcap.lz4; do
	grep -q "recovered '$work/killed/$file': " "$work/after.err" || fail "$file: not recovered"
	intact "$work/killed/$file"
	counted=$(packets_in "$work/killed/$file")
	listed=$(jq -s "map(select(.recovered and (.path | endswith(\"/$file\")))) | .[].packets" \
		"$work/killed/manifest.jsonl")
	((counted > 1000)) || fail "$file: only $counted packets"
	assert_equal "$listed" "$counted" "packets by the manifest, in $file"
	echo "$file: $counted packets recovered"
done
