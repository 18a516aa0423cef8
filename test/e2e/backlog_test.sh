#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                    namespace b
#     send.py --> a0 --- veth --- b0 --> mirrorsink -w - --> a reader that sleeps, then reads
#
#     in.pcap --> mirrorsink --> a file system of 2 MiB
#
# Succeeds if
#  - while nobody reads, packets are received all the same: none is missing on the wire, and what
#    does not fit in the buffers is counted as writer_backlog;
#  - the file that the reader gets in the end is whole, holds the frames that were written, and its
#    statistics blocks have the dropped ones;
#  - on a full disk frames are counted as disk_full, those written are in the file, and the ledger
#    balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
check "$work" <<'END'
import sys
import judge
import packets as p

frames = [p.ether(p.ipv4(p.udp(i.to_bytes(4, "big") + bytes(1400), 9, 9), p.UDP, "10.2.0.1",
                         "10.3.0.1"), 0x0800) for i in range(16000)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", [(i, p.mirror(f, 64)) for i, f in enumerate(frames)])
END

received()
{
	telemetry backlog /mirrorsink/ledger | "$python" -c 'import json, sys
got = json.load(sys.stdin)["/mirrorsink/ledger"]["received"]
sys.exit((got["packets"] if isinstance(got, dict) else got) < 16000)'
}

mkfifo "$work/pipe" "$work/go"
(
	exec 3<"$work/pipe"
	read -r _ <"$work/go"
	cat <&3 >"$work/out.pcapng"
) &
reader=$!
started+=("$reader")

in_space=(ip netns exec "$space_b")
program_line "$MIRRORSINK" backlog "$b0" -- -w - --summary "$work/s.json"
in_space=()
"${line[@]}" >"$work/pipe" 2>"$work/backlog.err" &
pid=$!
started+=("$pid")
wait_for 20 ready backlog || fail "mirrorsink is not ready"
send_frames "$work/in.pcap" 10000
wait_for 10 received || fail "packets are missing: $(telemetry backlog /mirrorsink/ledger)"
echo go >"$work/go"
stop "$pid" || fail "mirrorsink ends with status $?"
wait "$reader"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys
import judge

work = sys.argv[1]
summary, after = judge.load(f"{work}/s.json"), judge.read(f"{work}/out.pcapng")
judge.check_fates(summary, {"delivered": 16000})
output = summary["outputs"][0]
dropped = output["dropped"]["writer_backlog"]
judge.demand(dropped > 1000, "only %d frames dropped: %r", dropped, output)
judge.demand(output["written"] == len(after.packets) == 16000 - dropped, "%d frames in the file, "
             "%r", len(after.packets), output)
frames = [judge.decapsulate(p.data).frame for p in judge.read(f"{work}/in.pcap").packets]
numbers = [int.from_bytes(p.data[42:46], "big") for p in after.packets]
judge.demand(numbers == sorted(set(numbers)), "frames out of order, or twice")
judge.compare([p.data for p in after.packets], [frames[i] for i in numbers], "out.pcapng")
judge.demand(len(after.statistics) == 1, "%d statistics blocks", len(after.statistics))
one = after.statistics[0]
judge.demand((one.received, one.dropped) == (16000, dropped), "%r, dropped %d", one, dropped)
print(f"{dropped} frames dropped while nobody read")
END

mkdir "$work/small"
mount -t tmpfs -o size=2m none "$work/small" || skip "no tmpfs to mount here, for the full disk"
mounts+=("$work/small")
status=0
sink full "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -w "$work/small/out.pcapng" -a idle:200 \
	--summary "$work/s.json" || status=$?
((status == 0 || status == 1)) || fail "status $status"
assert_ledger "$work/s.json"
grep -q 'No space left' "$work/full.err" || fail "no message about the full disk"
check "$work" <<'END'
import struct
import sys
import judge

work = sys.argv[1]
summary = judge.load(f"{work}/s.json")
judge.check_fates(summary, {"delivered": 16000})
output = summary["outputs"][0]
judge.demand(output["dropped"]["disk_full"] == 16000 - output["written"] > 0, "%r", output)
judge.demand(output["written"] > 0, "%r", output)
with open(f"{work}/small/out.pcapng", "rb") as file:
    raw = file.read()
at = frames = 0
while at + 12 <= len(raw):  # whole blocks; the disk may have cut the last
    kind, total = struct.unpack_from("<II", raw, at)
    at += total
    frames += kind == 6 and at <= len(raw)
judge.demand(frames >= output["written"], "%d frames in the file, %r", frames, output)
END
