#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                    namespace b
#     send.py --> a0 --- veth --- b0 --> mirrorsink --+-- slow --> a file system that hangs (FUSE)
#                                                     +-- pipe --> a reader that is stopped
#                                                     +-- other -> a file elsewhere
#
# For 5 seconds the file system answers no write, and the reader reads nothing; later once more, and
# then mirrorsink is to end.
# Succeeds if
#  - all packets are received, and `other` has every frame: nothing waits for the two;
#  - what they lose is counted as writer_backlog, and they go on by themselves;
#  - the files hold what was written;
#  - with the file system still hanging it counts what is lost, within seconds, and the ledger
#    balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command fusermount3 capinfos
stall_fs=$build/test/e2e/stall_fs
[[ -x $stall_fs ]] || skip "no $stall_fs here: it needs libfuse3-dev"
[[ -c /dev/fuse ]] || skip "no /dev/fuse here"
wire
mkdir "$work/behind" "$work/slow"
"$stall_fs" "$work/behind" "$work/stall" "$work/slow" -f 2>"$work/fuse.err" &
server=$!
started+=("$server")
mounts+=("$work/slow")
wait_for 5 mountpoint -q "$work/slow" || skip "FUSE does not work here: $(cat "$work/fuse.err")"

check "$work" <<'END'
import sys
import judge
import packets as p

frames = [p.ether(p.ipv4(p.udp(i.to_bytes(4, "big") + bytes(1400), 9, 9), p.UDP, "10.2.0.1",
                         "10.3.0.1"), 0x0800) for i in range(10000)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", [(i, p.mirror(f, 64)) for i, f in enumerate(frames)])
judge.write_pcap(f"{sys.argv[1]}/few.pcap", [(i, p.mirror(f, 64)) for i, f in enumerate(frames[:500])])
END
mkfifo "$work/pipe"
cat "$work/pipe" >"$work/pipe.pcapng" &
reader=$!
started+=("$reader")
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "slow", "Type": "pcapng", "Path": "$work/slow/slow.pcapng", "BufferMemory": "4MiB"},
  {"Name": "pipe", "Type": "pcapng", "Path": "$work/pipe", "BufferMemory": "4MiB"},
  {"Name": "other", "Type": "pcapng", "Path": "$work/other.pcapng"}
]}
END

counted() # OUTPUT KEY [REASON]
{
	telemetry stall /mirrorsink/outputs | "$python" -c '
import json, sys
for one in json.load(sys.stdin)["/mirrorsink/outputs"].values():
    if one["name"] == sys.argv[1]:
        print(one["dropped"][sys.argv[3]] if sys.argv[2] == "dropped" else one[sys.argv[2]])
' "$@"
}
at_least() # N OUTPUT KEY [REASON]
{
	local n=$1

	shift
	(($(counted "$@") >= n))
}
settled() # OUTPUT: all that was offered is accounted for
{
	(($(counted "$1" offered) == $(counted "$1" written) + $(counted "$1" dropped writer_backlog)))
}

in_space=(ip netns exec "$space_b")
sink_start stall "$b0" -- -c "$work/c.json" --summary "$work/s.json"
in_space=()
send_frames "$work/few.pcap" 2000
wait_for 10 at_least 500 slow written || fail "nothing is written"
wait_for 10 at_least 500 pipe written || fail "nothing is written to the pipe"

touch "$work/stall"
kill -STOP "$reader"
start=$SECONDS
send_frames "$work/in.pcap" 4000
wait_for 10 at_least 10500 other written || fail "other does not get everything while slow hangs"
for output in slow pipe; do
	at_least 1000 "$output" dropped writer_backlog || fail "$output: no backlog is counted"
done
while ((SECONDS - start < 5)); do
	sleep 0.1
done
rm "$work/stall"
kill -CONT "$reader"
for output in slow pipe; do
	wait_for 10 settled "$output" || fail "$output does not go on"
done
lost_slow=$(counted slow dropped writer_backlog)
lost_pipe=$(counted pipe dropped writer_backlog)
send_frames "$work/few.pcap" 2000
for output in slow pipe; do
	wait_for 10 at_least 11000 "$output" offered || fail "packets are missing"
	wait_for 10 settled "$output" || fail "$output does not go on"
done
assert_equal "$(counted slow dropped writer_backlog)" "$lost_slow" "slow: lost after it went on"
assert_equal "$(counted pipe dropped writer_backlog)" "$lost_pipe" "pipe: lost after it went on"

# The end comes while it hangs.
touch "$work/stall"
send_frames "$work/few.pcap" 2000
wait_for 10 at_least 11500 other offered || fail "packets are missing"
kill -TERM "$pid"
wait_for 20 test -s "$work/s.json" || fail "the end waits for the file system"
assert_ledger "$work/s.json"
rm "$work/stall" # a process ends when the kernel has its answers
status=0
await "$pid" || status=$?
assert_equal "$status" 1 "status"
wait "$reader"

assert_equal "$(get "$work/s.json" fates.delivered)" 11500 "delivered"
assert_equal "$(get "$work/s.json" outputs.2.written)" 11500 "other: written"
assert_equal "$(get "$work/s.json" outputs.1.written)" "$((11500 - lost_pipe))" "pipe: written"
assert_equal "$(capinfos -T -r -M -c "$work/pipe.pcapng" | cut -f 2)" "$((11500 - lost_pipe))" \
	"frames from the pipe"
# the last 500 were with a file system that did not answer
assert_equal "$(get "$work/s.json" outputs.0.written)" "$((11000 - lost_slow))" "slow: written"
assert_equal "$(get "$work/s.json" outputs.0.dropped.writer_backlog)" "$((lost_slow + 500))" \
	"slow: backlog"
check "$work" "$((11000 - lost_slow))" <<'END'
import struct
import sys
import judge

# it could not be given its name; the next start recovers it
with open(f"{sys.argv[1]}/behind/slow.pcapng.part", "rb") as file:
    raw = file.read()
at = frames = 0
while at + 12 <= len(raw):
    kind, total = struct.unpack_from("<II", raw, at)
    if total < 12:  # zeros to the end of a block: nobody could cut it
        break
    at += total
    frames += kind == 6 and at <= len(raw)
judge.demand(frames >= int(sys.argv[2]), "%d frames in the file, %s written", frames, sys.argv[2])
END
echo "lost in 5 seconds: $lost_slow of the file, $lost_pipe of the pipe"
