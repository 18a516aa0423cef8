#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                    namespace b
#     send.py --> a0 --- veth --- b0 --> mirrorsink --+-- -w - --> tshark -i -
#                                                     +-- a named pipe --> a reader that goes away
#                                                     +-- other -> a file
#
# Succeeds if
#  - a single frame reaches a reader of the pipe at once: a block of it within a second, at an idle
#    time, of which 100 ms are the promise and the rest is for a slow machine;
#  - tshark, which reads while mirrorsink runs, shows every frame;
#  - the reader that goes away ends its output, with io_error counted, and nothing else;
#  - the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command tshark
wire
check "$work" <<'END'
import sys
import judge
import packets as p

frames = [p.ether(p.ipv4(p.udp(i.to_bytes(4, "big") + bytes(200), 9, 9), p.UDP, "10.2.0.1",
                         "10.3.0.1"), 0x0800) for i in range(4000)]
made = [(i, p.mirror(f, 64)) for i, f in enumerate(frames)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
judge.write_pcap(f"{sys.argv[1]}/one.pcap", made[:1])
END

mkfifo "$work/pipe" "$work/out"
cat >"$work/c.json" <<END
{"Outputs": [
  {"Name": "stdout", "Type": "pcapng", "Path": "-"},
  {"Name": "pipe", "Type": "pcapng", "Path": "$work/pipe"},
  {"Name": "other", "Type": "pcapng", "Path": "$work/other.pcapng"}
]}
END
tshark -l -i - -T fields -e frame.number -e frame.len <"$work/out" >"$work/tshark.out" \
	2>"$work/tshark.log" &
shark=$!
started+=("$shark")
# When the pipe had how many bytes, in milliseconds; it leaves after the time it is told to.
"$python" -u - "$work/pipe" >"$work/arrivals" <<'END' &
import os
import sys
import time

fd, total = os.open(sys.argv[1], os.O_RDONLY), 0
while total < 20000:
    total += len(os.read(fd, 65536))
    print(int(time.time() * 1000), total)
END
reader=$!
started+=("$reader")

in_space=(ip netns exec "$space_b")
program_line "$MIRRORSINK" streams "$b0" -- -c "$work/c.json" --summary "$work/s.json"
in_space=()
"${line[@]}" >"$work/out" 2>"$work/streams.err" &
pid=$!
started+=("$pid")
wait_for 20 ready streams || fail "mirrorsink is not ready"
wait_for 5 test -s "$work/arrivals" || fail "no header arrives"
for _ in 1 2 3; do
	sleep 0.3
	sent=$(date +%s%3N)
	had=$(wc -l <"$work/arrivals")
	send_frames "$work/one.pcap" 1000
	arrived() { (($(wc -l <"$work/arrivals") > had)); }
	wait_for 5 arrived || fail "a frame does not arrive"
	took=$(($(tail -n 1 "$work/arrivals" | cut -d ' ' -f 1) - sent))
	echo "$took ms from before send.py starts to the pipe"
	((took < 1500)) || fail "a frame waits"
done
send_frames "$work/in.pcap" 4000
wait "$reader"
wait_for 10 grep -q '^4003' "$work/tshark.out" || fail "tshark shows $(tail -n 1 "$work/tshark.out")"
send_frames "$work/in.pcap" 4000
stop "$pid" || true # 1: the pipe is incomplete
wait "$shark" || true
assert_ledger "$work/s.json"
assert_equal "$(get "$work/s.json" fates.delivered)" 8003 "delivered"
assert_equal "$(wc -l <"$work/tshark.out")" 8003 "frames that tshark shows"
for i in 0 2; do
	assert_equal "$(get "$work/s.json" "outputs.$i.written")" 8003 "output $i: written"
done
lost=$(get "$work/s.json" outputs.1.dropped.io_error)
written=$(get "$work/s.json" outputs.1.written)
((lost > 4000)) || fail "the pipe whose reader is gone lost only $lost"
assert_equal "$((lost + written))" 8003 "pipe: written and lost"
