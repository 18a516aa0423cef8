#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, without end --> net_pcap0 --> mirrorsink --> big-w0-000001.pcapng, ...   of 10 MiB
#                                               |
#                                               +--------> manifest.jsonl, a command for each
#
# Succeeds if
#  - 2 GB rotate by 10 MiB, none larger (statistics at the end not counted), and the manifest adds up
#    to the ledger: frames, bytes of frames, drops, of each session too;
#  - of these files the newest stay, as many as KeepFiles says, and after the next run, which goes on
#    with the numbers, as many as KeepBytes says, those of the first run included;
#  - of each file that stays capinfos counts what the manifest says, and sha256sum agrees;
#  - with MinFree the oldest make room for new ones, and no frame is lost;
#  - files that only have a name like ours, or were changed, are not touched;
#  - each file's command ran once, when the file had its name, no more than so many at once, and its
#    exit status is in the log;
#  - names have lane and number, missing directories of a pattern are made, and a name that is taken
#    gets another number;
#  - a plain file has its name only at the end, and what had the name is there until then;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command capinfos sha256sum

check "$work" <<'END'
import sys
import judge
import packets as p

made = [(1_700_000_000 * judge.NS + i,
         p.mirror(p.ether(p.ipv4(p.udp(bytes(1400), 1000 + i % 50, 9), p.UDP, "10.2.0.1",
                                 "10.3.0.1"), 0x0800), 64 + i % 2)) for i in range(1000)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
END
mkdir "$work/out"
cat >"$work/command" <<'END'
#!/bin/sh
# what a user's command sees, and how many of it there are
mkdir "$1/run.$$"
running=$(find "$1" -name 'run.*' | wc -l)
[ -f "$2" ] && [ ! -e "$2.part" ] && size=$(stat -c %s "$2")
echo "$2 $running ${size:-gone}" >>"$1/log"
rmdir "$1/run.$$"
exit 3
END
chmod +x "$work/command"
mkdir "$work/commands"

# config KEEP: writes c.json.
config()
{
	cat >"$work/c.json" <<-END
		{"Outputs": [{"Name": "big", "Type": "pcapng", "RotateBytes": "10MiB", "Sha256": true,
		              "Path": "$work/out/%Y/big-w{worker}-{seq}.pcapng", $1}]}
	END
}

packets=1400000 # of 1,442 bytes
year=$(date +%Y)
mkdir "$work/out/$year"
echo precious >"$work/out/$year/big-w0-000000.pcapng"
echo precious >"$work/out/$year/other.pcapng"

config '"KeepFiles": 7, "OnRotate": ["'"$work"'/command", "'"$work"'/commands", "{path}"], "OnRotateJobs": 2'
limit=120 sink first "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- -W 0 \
	-c "$work/c.json" -a "packets:$packets" --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"

# judge_store WHAT LIMIT: of the files of big what stays, and the manifest.
judge_store()
{
	check "$work" "$year" "$@" <<-'END'
		import glob, json, os, subprocess, sys, time
		import judge

		work, year, what, limit = *sys.argv[1:4], int(sys.argv[4])
		folder = f"{work}/out/{year}"
		with open(f"{folder}/manifest.jsonl", encoding="utf-8") as file:
		    lines = [json.loads(line) for line in file]
		names = [os.path.basename(line["path"]) for line in lines]
		judge.demand(sorted(names) == [f"big-w0-{i + 1:06}.pcapng" for i in range(len(names))],
		             "names %r", names)
		big = [line for line in lines if line["packets"] > 0]
		judge.demand(max(line["bytes"] for line in big) <= (10 << 20) + 4096, "a file is too large")
		judge.demand(sum(line["bytes"] > 10_000_000 for line in big) >= len(big) - 2, "small files")
		left = sorted(os.path.basename(one) for one in glob.glob(f"{folder}/big-*"))
		judge.demand(left.pop(0) == "big-w0-000000.pcapng", "a foreign file has gone")
		# several files can be on their way to the disk at once, and are finished in any order
		judge.demand(min(left) > f"big-w0-{len(names) - len(left) - 8:06}", "%r are left", left)
		listed = {os.path.basename(line["path"]): line for line in lines}
		if what == "files":
		    judge.demand(len(left) == limit, "%d files are left", len(left))
		else:
		    size = sum(listed[name]["bytes"] for name in left)
		    judge.demand(size <= limit < size + (21 << 20), "%d bytes are left", size)
		for name in left:
		    line = listed[name]
		    path = line["path"]
		    hashed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
		    judge.demand(hashed.stdout.split()[0] == line["sha256"], "%s: another hash", path)
		    judge.demand(os.path.getsize(path) == line["bytes"], "%s: another size", path)
		    info = subprocess.run(["capinfos", "-T", "-r", "-M", "-c", path], capture_output=True,
		                          text=True, check=True)
		    judge.demand(int(info.stdout.split("\t")[1]) == line["packets"], "%s: %s", path,
		                 info.stdout)
		line = listed[left[-1]]
		times = [p.time for p in judge.read(line["path"]).packets]
		for key, ns in (("first", min(times)), ("last", max(times))):
		    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // judge.NS))
		    judge.demand(line[key] == f"{text}.{ns % judge.NS:09}Z", "%r, but %s is %d", line, key,
		                 ns)
	END
}
judge_store files 7
check "$work" "$year" "$packets" <<'END'
import json
import sys
import judge

work, year, packets = sys.argv[1], sys.argv[2], int(sys.argv[3])
summary = judge.load(f"{work}/s.json")
judge.check_fates(summary, {"delivered": packets})
output = summary["outputs"][0]
with open(f"{work}/out/{year}/manifest.jsonl", encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]


def total(key):
    return sum(line[key] for line in lines)


judge.demand(total("packets") == output["written"] == packets, "%d packets", total("packets"))
judge.demand(total("payload") == output["bytes"] > 2e9, "%d bytes", total("payload"))
judge.demand(total("dropped") == sum(output["dropped"].values()), "%d drops", total("dropped"))
for vni in (64, 65):
    one = sum(s["packets"] for line in lines for s in line["sessions"] if s["vni"] == vni)
    judge.demand(one == packets // 2, "VNI %d: %d packets", vni, one)

# commands: once for each file, in its own name; retention may have been faster than the command
with open(f"{work}/commands/log", encoding="utf-8") as file:
    ran = [line.split() for line in file]
judge.demand(sorted(r[0] for r in ran) == sorted(line["path"] for line in lines),
             "%d commands for %d files", len(ran), len(lines))
judge.demand(max(int(r[1]) for r in ran) <= 2, "more than 2 at once")
sizes = {line["path"]: line["bytes"] for line in lines}
judge.demand(all(size in ("gone", str(sizes[path])) for path, _, size in ran), "sizes")
with open(f"{work}/first.err", encoding="utf-8") as file:
    log = file.read()
for line in lines:
    judge.demand(log.count(f"/command' for '{line['path']}': exit status 3\n") == 1,
                 "%s: its exit status is not in the log", line["path"])
print(f"{len(lines)} files, {output['bytes']} bytes of frames")
END

# A run that keeps by bytes: files of the run before count, one that has changed is not ours any more.
config '"KeepBytes": "35MiB"'
sink second "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- -W 0 \
	-c "$work/c.json" -a packets:8000 --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
judge_store bytes $((35 << 20))
oldest=$(find "$work/out/$year" -name 'big-w0-*' | sort | sed -n 2p)
echo more >>"$oldest"
config '"KeepFiles": 1'
sink third "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -W 0 \
	-c "$work/c.json" -a idle:100 --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
assert_equal "$(find "$work/out/$year" -name 'big-w0-*' | wc -l)" 3 \
	"files: a foreign one, one that was changed, and the last"
[[ -e $oldest ]] || fail "$oldest was changed, and removed"
[[ $(cat "$work/out/$year/big-w0-000000.pcapng" "$work/out/$year/other.pcapng") == \
	"precious"$'\n'"precious" ]] || fail "a foreign file was changed"

# Names: a number for what is taken, the lane where nobody asked for it.
use_lcores 4
mkdir "$work/names"
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "taken", "Type": "pcap", "Path": "$work/names/taken.pcap", "RotateBytes": 500000},
  {"Name": "lanes", "Type": "pcap", "Path": "$work/names/%Y/%Y/x-{seq}.pcap", "RotateBytes": 500000}
]}
END
for run in 1 2; do
	sink "names$run" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -W 2 -c "$work/c.json" \
		-a idle:100 --summary "$work/s.json" || fail "status $?"
	assert_ledger "$work/s.json"
done
check "$work/names" "$year" <<'END'
import glob
import re
import sys
import judge

folder, year = sys.argv[1], sys.argv[2]
taken = {one.rsplit("/", 1)[1] for one in glob.glob(f"{folder}/*.pcap")}
for lane in (0, 1):
    mine = sorted(one for one in taken if one.startswith(f"taken-w{lane}"))
    want = {f"taken-w{lane}.pcap"} | {f"taken-w{lane}-{i}.pcap" for i in range(2, len(mine) + 1)}
    judge.demand(set(mine) == want and len(mine) >= 2, "%r", mine)
lanes = [one.rsplit("/", 1)[1] for one in glob.glob(f"{folder}/{year}/{year}/*.pcap")]
numbers = [re.fullmatch(r"x-(\d{6})-w[01]\.pcap", one) for one in lanes]
judge.demand(all(numbers), "%r", lanes)
judge.demand(sorted(int(n[1]) for n in numbers) == list(range(1, len(lanes) + 1)), "%r", lanes)
END
use_lcores 2

# A floor: the oldest make room before it is reached.
mkdir "$work/small"
mount -t tmpfs -o size=128m none "$work/small" || skip "no tmpfs to mount here, for the floor"
mounts+=("$work/small")
cat >"$work/c.json" <<END
{"Outputs": [{"Name": "floor", "Type": "pcapng", "Path": "$work/small/{seq}.pcapng",
              "RotateBytes": "4MiB", "MinFree": "32MiB"}]}
END
sink floor "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- -W 0 -c "$work/c.json" \
	-a packets:200000 --summary "$work/s.json" || fail "status $?"
assert_ledger "$work/s.json"
free=$(($(stat -f -c '%a * %S' "$work/small")))
((free >= 32 << 20)) || fail "$free bytes are free"
assert_equal "$(get "$work/s.json" outputs.0.written)" 200000 "frames written above a floor"
number=$(find "$work/small" -name '*.pcapng' | sort | sed -n '1s|.*/0*\([0-9]*\)\..*|\1|p')
files=$(find "$work/small" -name '*.pcapng' | wc -l)
lines=$(wc -l <"$work/small/manifest.jsonl")
((files >= 5 && number > lines - files - 8)) || fail "$files files from $number on, of $lines"

# A plain file.
echo precious >"$work/plain.pcapng"
sink_start plain "--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1" -- -W 0 \
	-w "$work/plain.pcapng" -s 60 --summary "$work/s.json"
[[ $(cat "$work/plain.pcapng") == precious && -e $work/plain.pcapng.part ]] ||
	fail "plain.pcapng is not what it was before"
stop "$pid" || fail "status $?"
assert_ledger "$work/s.json"
[[ ! -e $work/plain.pcapng.part && ! -e $work/manifest.jsonl ]] || fail "left behind: $(ls "$work")"
assert_equal "$(capinfos -T -r -M -c "$work/plain.pcapng" 2>/dev/null | cut -f 2)" \
	"$(get "$work/s.json" outputs.0.written)" "frames in plain.pcapng"
