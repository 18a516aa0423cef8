#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#                              +-- 1 worker --> one/*.pcapng ----------- tshark, sorted --+
#     in.pcap --> mirrorsink --+                                                          +-- equal
#                              +-- 4 workers -> four/w{0,1,2,3}*.pcapng                   |
#                                               + manifest.jsonl -- mirrorctl files merge +
#
# Succeeds if
#  - the merged files of four workers are what one worker writes, sorted by time: time, interface,
#    direction, lengths and bytes, and the statistics of each interface;
#  - selections by VNI, session, time and BPF merge what tshark finds with filters of its own, and
#    find lists the files in which tshark finds any of it, and no others;
#  - files of the other byte order, with several sections, of pcap, and out of order merge too, and
#    options of packets stay bit by bit;
#  - so do compressed files, of mirrorsink and of the formats' own tools;
#  - what comes later than the window is counted and not lost;
#  - a damaged file is told with its place, status 1, and what is whole of it is merged;
#  - memory does not grow with the files, nor need there be a descriptor for each;
#  - what is wrong ends with status 2 and leaves no file;
#  - the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark capinfos editcap zstd lz4
seed=${SEED:-5}
frames=20000
echo "seed $seed"
check "$work" "$seed" "$frames" <<'PYTHON'
import random
import sys
import judge
import packets

work, seed, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
frames = packets.flow_frames(r, n, flows=200, longest=400)
time, made = 1_700_000_000 * judge.NS, []
for i in range(n):  # 20 seconds, and some packets at one time
    time += r.choice((0, 1000, 1_000_000, 3_000_000))
    vni = 67 if i < n // 10 and i % 4 == 0 else 64 + r.choice((0, 0, 0, 1, 2))
    made.append((time, packets.mirror(frames[i], vni)))
judge.write_pcap(f"{work}/in.pcap", made)
PYTHON

cat >"$work/sessions.json" <<'JSON'
{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
  "PrivateIpAddress": "10.1.0.10"}],
 "TrafficMirrorSessions": [
  {"TrafficMirrorSessionId": "tms-first", "NetworkInterfaceId": "eni-1", "SessionNumber": 1,
   "TrafficMirrorFilterId": "tmf-1", "VirtualNetworkId": 64, "Description": "the first one"}],
 "UnknownSession": "deliver"}
JSON

# capture NAME LCORES OPTIONS...: the input, written by so many lcores.
capture()
{
	local run=$1

	use_lcores "$2"
	shift 2
	mkdir "$work/$run"
	cat >"$work/$run.json" <<-JSON
		{"Outputs": [{"Name": "archive", "Type": "pcapng", "RotateBytes": 300000,
		  "Path": "$work/$run/w{worker}.pcapng"}]}
	JSON
	sink "$run" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/sessions.json" \
		-c "$work/$run.json" -a "packets:$frames" --summary "$work/$run.s.json" "$@" ||
		fail "$run: status $?"
	assert_ledger "$work/$run.s.json"
	assert_equal "$(get "$work/$run.s.json" fates.delivered)" "$frames" "$run: delivered"
	[[ -s $work/$run/manifest.jsonl ]] || fail "$run: no manifest"
}
capture one 3 -W 1
capture four 6 -W 4
assert_equal "$(find "$work/four" -name 'w*.pcapng' -printf '%f\n' | cut -c 1-2 | sort -u |
	tr '\n' ' ')" "w0 w1 w2 w3 " "workers with files"
n_files=$(find "$work/four" -name 'w*.pcapng' | wc -l)
((n_files > 8)) || fail "only $n_files files of four workers"

# fields FILE [FILTER]: what tshark finds in a file; it need not look into packets if there is no filter.
fields()
{
	local look=(--disable-protocol eth)

	[[ -z ${2:-} ]] || look=(-Y "$2")
	tshark -n -r "$1" "${look[@]}" -o frame.generate_md5_hash:TRUE -T fields \
		-e frame.time_epoch -e frame.interface_name -e frame.interface_description \
		-e frame.packet_flags -e frame.len -e frame.cap_len -e frame.md5_hash \
		2>/dev/null
}

# all_fields DIR [FILTER]: of all files, sorted.
all_fields()
{
	local file

	for file in "$work/$1"/w*.pcapng; do
		fields "$file" "${2:-}"
	done | sort
}

# files ARGUMENTS: mirrorctl files.
files()
{
	timeout 60 "$MIRRORCTL" files "$@"
}

# in_order FILE: fails unless its packets are in the order of their times.
in_order()
{
	tshark -n -r "$1" --disable-protocol eth -T fields -e frame.time_epoch 2>/dev/null |
		sort -c -n ||
		fail "$1 is not in the order of time"
}

out=$work/merged.pcapng
files merge -w "$out" "$work/four" >"$work/merge.out"
grep -q "^$n_files files, $frames packets: $frames written, 0 not selected$" "$work/merge.out" ||
	fail "the end says: $(cat "$work/merge.out")"
[[ ! -e $out.part ]] || fail "$out.part stays"
in_order "$out"
all_fields one >"$work/want"
assert_equal "$(wc -l <"$work/want")" "$frames" "packets of one worker"
fields "$out" | sort | cmp - "$work/want" || fail "the merge of four is not what one writes"
check "$work" <<'PYTHON'
import collections
import glob
import sys
import judge

work = sys.argv[1]
merged = judge.read(f"{work}/merged.pcapng")


def statistics(captures):
    sums = collections.Counter()
    for one in captures:
        for s in one.statistics:
            sums[one.interfaces[s.interface].name] += s.received
    return sums


judge.demand(len(merged.interfaces) == 4, "interfaces: %r", merged.interfaces)
judge.demand(len(merged.statistics) == 4, "statistics: %r", merged.statistics)
one = statistics(judge.read(p) for p in glob.glob(f"{work}/one/*.pcapng"))
judge.demand(statistics([merged]) == one, "statistics: %r, %r", merged.statistics, one)
PYTHON

# As a pipe, to tshark; with a manifest that was torn, or has fields of a later version
cp "$work/four/manifest.jsonl" "$work/manifest.kept"
sed -i 's/^{/{"Later": [1], /' "$work/four/manifest.jsonl"
printf '{"path": "w0.pcap' >>"$work/four/manifest.jsonl"
files merge -w - "$work/four/manifest.jsonl" 2>"$work/merge.err" | cmp - "$out" ||
	fail "another file by a pipe"
grep -q 'manifest.jsonl: line [0-9]* is passed over' "$work/merge.err" ||
	fail "nothing is said of a torn line: $(cat "$work/merge.err")"
cp "$work/manifest.kept" "$work/four/manifest.jsonl"

# selected WHAT FILTER SELECTION...: is what tshark's filter finds what the selection merges, and are
# the files in which it finds anything those that find lists?
selected()
{
	local what=$1 filter=$2 file

	shift 2
	files merge "$@" -w "$work/part.pcapng" "$work/four" >"$work/merge.out"
	grep -q 'no statistics of interfaces: packets were selected' "$work/merge.out" ||
		fail "$what: nothing is said of statistics"
	in_order "$work/part.pcapng"
	for file in "$work/four"/w*.pcapng; do
		fields "$file" "$filter" >"$work/some"
		cat "$work/some" >&3
		if [[ -s $work/some ]]; then
			echo "$file"
		fi
	done 3>"$work/packets" | sort >"$work/want"
	[[ -s $work/want ]] || fail "$what: tshark finds nothing"
	sort "$work/packets" >"$work/sorted"
	fields "$work/part.pcapng" | sort | cmp - "$work/sorted" || fail "$what: merged"
	files find "$@" --json "$work/four" | jq -r '.[].path' | sort >"$work/got"
	cmp "$work/got" "$work/want" || fail "$what: found"
	echo "$what: $(wc -l <"$work/want") of $n_files files"
}
start=1700000000
selected "a VNI" 'frame.interface_name == "vni67"' --vni 67
selected "the VNI of a session" 'frame.interface_name == "tms-first"' --vni 64
selected "either" 'frame.interface_name == "tms-first" || frame.interface_name == "vni67"' \
	--session tms-first --vni 67
selected "a time" "frame.time_epoch >= $((start + 5)) && frame.time_epoch < $((start + 8)).5" \
	--from "@$((start + 5))" --to 2023-11-14T23:13:28.5+01:00 --bpf ''
selected "a filter" 'ip.addr == 10.2.0.1' --bpf 'host 10.2.0.1'
selected "all of it" "frame.interface_name == \"vni65\" && frame.time_epoch < $((start + 3)) && tcp && ip && !vlan" \
	--vni 65 --to "@$((start + 3))" --bpf 'ip and tcp'
assert_equal "$(files find --from -5m "$work/four" --json)" "[]" "files of the last 5 minutes"
files find --vni 65 "$work/four" | grep -q '2023-11-14T.*w0.*vni65' || fail "find for a person"

# Files without a manifest's line: told, and read if they are named, or with --scan
mkdir "$work/bare"
cp "$work/four"/w*.pcapng "$work/bare"
files find "$work/bare" >"$work/find.out" 2>"$work/find.err"
assert_equal "$(grep -c 'no manifest tells of it' "$work/find.err")" "$n_files" "files told of"
[[ ! -s $work/find.out ]] || fail "found: $(cat "$work/find.out")"
files merge --scan -w "$work/bare.pcapng" "$work/bare" >/dev/null
cmp "$out" "$work/bare.pcapng" || fail "another file by reading"
files merge -w "$work/bare.pcapng" "$work/bare"/w*.pcapng "$work/bare"/w0*.pcapng --session vni65 \
	>/dev/null
fields "$work/bare.pcapng" | sort >"$work/got"
all_fields one 'frame.interface_name == "vni65"' | cmp - "$work/got" || fail "named, some twice"

# Compressed files: of mirrorsink, and by the formats' own tools, which make many frames of one
kind=zstd
all_fields one >"$work/want"
for end in zst lz4; do
	mkdir "$work/packed-$end" "$work/tool-$end"
	cat >"$work/packed.json" <<-JSON
		{"Outputs": [{"Name": "archive", "Type": "pcapng", "RotateBytes": 300000, "Compress": "$kind",
		  "Path": "$work/packed-$end/w{worker}.pcapng.$end"}]}
	JSON
	use_lcores 6
	sink packed "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -c "$work/sessions.json" \
		-c "$work/packed.json" -a "packets:$frames" -W 4 --summary "$work/packed.s.json"
	assert_ledger "$work/packed.s.json"
	files merge -w "$work/packed.pcapng" "$work/packed-$end" >/dev/null
	fields "$work/packed.pcapng" | sort | cmp - "$work/want" || fail "the merge of $end files"
	for file in "$work/four"/w*.pcapng; do
		to=$work/tool-$end/$(basename "$file").$end
		head -c 20000 "$file" | "$kind" -q -c >"$to"
		tail -c +20001 "$file" | "$kind" -q -c >>"$to"
	done
	files merge --scan -w "$work/tool.pcapng" "$work/tool-$end" >/dev/null
	fields "$work/tool.pcapng" | sort | cmp - "$work/want" || fail "the merge of files by $kind"
	# cut anywhere: told, and what is whole is taken
	head -c -1000 "$to" >"$work/cut.pcapng.$end"
	if files merge -w "$work/cut.pcapng" "$work/cut.pcapng.$end" >"$work/cut.out" 2>&1; then
		fail "a file that is cut counts as whole: $(cat "$work/cut.out")"
	fi
	grep -q "cut.pcapng.$end: it ends amid its compressed data; what stands before is taken" "$work/cut.out" ||
		fail "a file that is cut: $(cat "$work/cut.out")"
	kind=lz4
done

# Strange files, against a reader of our own; memory and window; and what is damaged
"$python" "$here/files_strange.py" "$MIRRORCTL" "$work" "$seed" || fail "strange files"

# wrong STATUS PATTERN ARGUMENTS: refused so, and no file is left.
wrong()
{
	local want=$1 pattern=$2 status=0

	shift 2
	files "$@" >"$work/wrong.out" 2>"$work/wrong.err" || status=$?
	assert_equal "$status" "$want" "status of files $*"
	grep -Eq -e "$pattern" "$work/wrong.err" || fail "files $*: $(cat "$work/wrong.err")"
	[[ ! -e $work/x.pcapng && ! -e $work/x.pcapng.part ]] || fail "files $*: left a file"
}
wrong 2 'find, or merge'
wrong 2 "'list' is neither" list
wrong 2 'give -w' merge "$work/four"
wrong 2 'writes no file' find -w "$work/x.pcapng"
wrong 2 'puts nothing in order' find --window 5
wrong 2 "vni.*16777216.*0 to 16777215" find --vni 16777216
wrong 2 "'yesterday' is no time" find --from yesterday
wrong 2 "'2026-02-29T00:00:00Z' is no time" find --from 2026-02-29T00:00:00Z
wrong 2 "'-5' is no time" find --to -5
wrong 2 'is not before' find --from @5 --to @5
wrong 2 "bpf: 'tcp prt 80'.*syntax" merge -w "$work/x.pcapng" --bpf 'tcp prt 80' "$work/four"
wrong 2 'no size' merge -w "$work/x.pcapng" --memory 1000 "$work/four"
wrong 2 'nothing: No such file' merge -w "$work/x.pcapng" "$work/nothing"
wrong 2 'is no regular file' merge -w "$work/x.pcapng" /dev/null
wrong 2 'one of the files' merge -w "$work/bare/w0.pcapng" --scan "$work/bare"
wrong 2 'no/such.*No such file' merge -w "$work/no/such.pcapng" "$work/four"
wrong 1 "can't be written: No space left" merge -w /dev/full "$work/four"
