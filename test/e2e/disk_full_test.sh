#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                    namespace b
#     send.py --> a0 --- veth --- b0 --> mirrorsink --+-- full --> a loop-mounted disk of 32 MiB
#                                                     +-- floor -> the same, with MinFree
#                                                     +-- other -> a file elsewhere
#
# The small disk fills up, first to the floor, then to the last block; then a file is removed there.
# Succeeds if
#  - the sink goes on, receives every packet, and `other` has every frame;
#  - both outputs to the small disk count what they lose as disk_full, and MinFree stays free until
#    the other one takes it;
#  - both go on by themselves in new files when there is room;
#  - what tshark reads in the files is exactly what was written, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark mkfs.ext4
wire
truncate -s 32M "$work/disk"
mkfs.ext4 -q -m 0 -O ^has_journal "$work/disk"
mkdir "$work/small"
mount -o loop "$work/disk" "$work/small" 2>"$work/mount.err" ||
	skip "no loop device to mount here: $(cat "$work/mount.err")"
mounts+=("$work/small")
fallocate -l 12M "$work/small/ballast"

check "$work" <<'END'
import sys
import judge
import packets as p

frames = [p.ether(p.ipv4(p.udp(i.to_bytes(4, "big") + bytes(1400), 9, 9), p.UDP, "10.2.0.1",
                         "10.3.0.1"), 0x0800) for i in range(12000)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", [(i, p.mirror(f, 64)) for i, f in enumerate(frames)])
END
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "full", "Type": "pcapng", "Path": "$work/small/full.pcapng"},
  {"Name": "floor", "Type": "pcapng", "Path": "$work/small/floor.pcapng", "MinFree": "8MiB"},
  {"Name": "other", "Type": "pcapng", "Path": "$work/other.pcapng"}
]}
END

# counted OUTPUT KEY...: one of its counters, now
counted()
{
	telemetry full /mirrorsink/outputs | "$python" -c '
import json, sys
for one in json.load(sys.stdin)["/mirrorsink/outputs"].values():
    if one["name"] == sys.argv[1]:
        print(one["dropped"][sys.argv[3]] if sys.argv[2] == "dropped" else one[sys.argv[2]])
' "$@"
}
# at_least N OUTPUT KEY...
at_least()
{
	local n=$1

	shift
	(($(counted "$@") >= n))
}

in_space=(ip netns exec "$space_b")
sink_start full "$b0" -- -c "$work/c.json" --summary "$work/s.json"
in_space=()
send_frames "$work/in.pcap" 5000
wait_for 10 at_least 1 floor dropped disk_full || fail "the floor is not reached"
wait_for 10 at_least 1 full dropped disk_full || fail "the disk does not fill up"
wait_for 10 at_least 12000 other offered || fail "packets are missing"
declare -A before=([full]=$(counted full written) [floor]=$(counted floor written))
rm "$work/small/ballast"
send_frames "$work/in.pcap" 3000
wait_for 10 at_least 24000 other offered || fail "packets are missing"
stop "$pid" || true # 1: the files on the full disk are not whole
assert_ledger "$work/s.json"

assert_equal "$(get "$work/s.json" fates.delivered)" 24000 "delivered"
assert_equal "$(get "$work/s.json" outputs.2.written)" 24000 "written to other"
grep -q 'No space left' "$work/full.err" || fail "no message about the full disk"
for i in 0 1; do
	output=$(get "$work/s.json" "outputs.$i.name")
	written=$(get "$work/s.json" "outputs.$i.written")
	dropped=$(get "$work/s.json" "outputs.$i.dropped.disk_full")
	assert_equal "$((written + dropped))" 24000 "$output: written and disk_full"
	found=0
	for file in "$work/small/$output"*.pcapng; do
		n=$(tshark -r "$file" -T fields -e frame.number 2>"$work/tshark.err" | wc -l)
		[[ ! -s $work/tshark.err ]] || grep -q 'Running as' "$work/tshark.err" ||
			fail "$file: $(cat "$work/tshark.err")"
		found=$((found + n))
	done
	assert_equal "$found" "$written" "$output: frames in the files"
	((written > before[$output] + 1000)) || fail "$output: ${before[$output]} written before there was room, $written after"
	echo "$output: ${before[$output]} written until the disk was full, $written in all"
done
