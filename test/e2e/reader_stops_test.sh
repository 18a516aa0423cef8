#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a      namespace b
#     +---------+      +--------------------------------------------------------------+
#     | send.py |      |                      +--> archive.pcapng                     |
#     |      a0 - veth - b0 --> mirrorsink ---|                                       |
#     +---------+      |                      +--> net_tap0 = ids0 --> a reader       |
#                      |                           or net_memif0 ----> testpmd        |
#                      +--------------------------------------------------------------+
#
# 2,000 frames while whoever reads at the output keeps up, 4,000 while it is stopped (SIGSTOP), and
# 2,000 after it goes on. It is, in turn, a packet socket with a small queue, tcpdump, whose socket has
# a ring, and testpmd behind a memif.
#
# Succeeds if, each time,
#  - the archive has all 8,000 frames, byte for byte and in order;
#  - of a tap all frames are written, and came in by the kernel's interface; what the reader got and
#    what it lost by the summary (a ring: by tcpdump's own count, the summary says that it cannot
#    know) add up to what was written;
#  - a memif takes a ring's worth while its peer is stopped, port_full counts all others, testpmd has
#    what was written, byte for byte and in order, and all of the last 2,000;
#  - the telemetry tells the same as the summary;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
need_command tcpdump dpdk-testpmd
seed=${SEED:-7}
echo "seed $seed"
check "$work" "$seed" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(int(sys.argv[2])), 8000)
for part, span in (("keeps", (0, 2000)), ("stopped", (2000, 6000)), ("goes-on", (6000, 8000))):
    judge.write_pcap(f"{sys.argv[1]}/{part}.pcap",
                     [(i, packets.mirror(frames[i], 64)) for i in range(*span)])
judge.write_pcap(f"{sys.argv[1]}/frames.pcap", list(enumerate(frames)))
END

# A reader that counts. It ends when the interface is gone.
cat >"$work/reader.py" <<'END'
import socket
import sys

frames = 0
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as reader:
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    reader.bind(("ids0", 0))
    print("ready", flush=True)
    try:
        while True:
            reader.recv(65536)
            frames += 1
    except OSError:
        print(frames, flush=True)
END

cat >"$work/same.py" <<'END'
import sys
import judge

work, run, drops = sys.argv[1:]
want = [p.data for p in judge.read(f"{work}/frames.pcap").packets]
judge.compare([p.data for p in judge.read(f"{work}/{run}.pcapng").packets], want, "the archive")
summary = judge.load(f"{work}/{run}.json")
judge.check_ledger(summary)
judge.check_fates(summary, {"delivered": 8000})
archive, ids = (judge.output_named(summary, name) for name in ("archive", "ids"))
judge.demand(archive["written"] == ids["offered"] == 8000, "%r, %r", archive, ids)
if run == "memif":
    full = ids["dropped"]["port_full"]
    judge.demand(ids["written"] == 8000 - full, "%r", ids)
    taken = 4000 - full
    judge.demand(500 <= taken <= 2100, "%d frames were taken while nobody read", taken)
    got = [p.data for p in judge.read(f"{work}/{run}.pcap").packets]
    judge.compare(got, want[:2000 + taken] + want[6000:], "testpmd")
    print(f"memif: {taken} of 4000 in the ring, {full} port_full")
    sys.exit()
judge.demand(ids["written"] == 8000, "%r", ids)
kernel = ids["kernel"]["net_tap0"]
judge.demand(kernel["interface"] == "ids0" and kernel["rx_packets"] == 8000, "%r", kernel)
judge.demand(kernel["rx_dropped"] == kernel["tx_packets"] == 0, "%r", kernel)
judge.demand(len(kernel["readers"]) == 1, "%r", kernel)
reader = kernel["readers"][0]
if run == "ring":
    judge.demand(reader["ring"] and reader["dropped"] is None, "%r", reader)
    # "8000 packets received by filter", which counts those that were dropped, too
    with open(f"{work}/reader.err", encoding="utf-8") as file:
        said = {line.split(" ", 1)[1].strip(): int(line.split()[0]) for line in file
                if line[0].isdigit()}
    lost = said["packets dropped by kernel"]
    got = len(judge.read(f"{work}/reader.pcap", strict=False).packets)
else:
    judge.demand(not reader["ring"] and reader["uid"] == 0, "%r", reader)
    judge.demand(reader["dropped"] == int(drops), "%r, the telemetry said %s", reader, drops)
    lost = reader["dropped"]
    with open(f"{work}/reader.out", encoding="utf-8") as file:
        got = int(file.read().split()[1])
judge.demand(got + lost == 8000, "the reader got %d and lost %d of 8000", got, lost)
judge.demand(lost > 1000, "the test is weak: the reader lost %d", lost)
print(f"{run}: the reader got {got} and lost {lost}")
END

# as_many RUN N: has the sink offered so many frames?
as_many()
{
	telemetry "$1" /mirrorsink/outputs | grep -q "\"offered\": $2, .*\"offered\": $2,"
}

# begin RUN PORT VDEV: the sink with an archive and a port.
begin()
{
	cat >"$work/outputs.json" <<-END
		{"Outputs": [{"Name": "archive", "Type": "pcapng", "Path": "$work/$1.pcapng"},
		             {"Name": "ids", "Type": "port", "Port": "$2"}]}
	END
	in_space=(ip netns exec "$space_b")
	sink_start "$1" "$b0" "$3" -- -r net_af_packet0 -c "$work/outputs.json" \
		--summary "$work/$1.json"
	sink_pid=$pid
	wait_for 10 up "$1" "$2" || fail "$1: the link of $2 is not up after 10 seconds"
}

# up RUN PORT: a peer is there; the sink looks once a second.
up()
{
	telemetry "$1" /mirrorsink/ports |
		grep -q "\"name\": \"$2\", \"role\": \"output\", \"state\": \"up\""
}

# play RUN PID: the three parts, while PID reads, stands still, and reads.
play()
{
	send_frames "$work/keeps.pcap" 4000
	wait_for 20 as_many "$1" 2000 || fail "$1: the first frames are not offered"
	sleep 0.3
	kill -STOP "$2"
	send_frames "$work/stopped.pcap" 8000
	wait_for 20 as_many "$1" 6000 || fail "$1: the sink stands still with its reader"
	kill -CONT "$2"
	sleep 1
	send_frames "$work/goes-on.pcap" 4000
	wait_for 20 as_many "$1" 8000 || fail "$1: the last frames are not offered"
	sleep 1
}

begin socket net_tap0 --vdev=net_tap0,iface=ids0
"${in_space[@]}" "$python" "$work/reader.py" >"$work/reader.out" 2>"$work/reader.err" &
reader=$!
started+=("$reader")
wait_for 10 grep -qs ready "$work/reader.out" || fail "the reader is not ready"
play socket "$reader"
drops=$(telemetry socket /mirrorsink/kernel |
	"$python" -c 'import json, sys
ports = json.load(sys.stdin)["/mirrorsink/kernel"].values()
tap, = (port for port in ports if port["name"] == "net_tap0")
print(tap["readers"]["0"]["dropped"])')
stop "$sink_pid" || fail "mirrorsink ends with status $?"
await "$reader" || fail "the reader ends with status $?"
grep -q "^behind net_tap0: .* ids0" "$work/socket.out" || fail "the report does not say what is behind"
grep -Eq "^  reader .* $drops  " "$work/socket.out" || fail "the report does not say what was lost"
check "$work" socket "$drops" <"$work/same.py"

begin ring net_tap0 --vdev=net_tap0,iface=ids0
"${in_space[@]}" tcpdump -Z root -i ids0 -B 256 -s 0 -U -w "$work/reader.pcap" 2>"$work/reader.err" &
reader=$!
started+=("$reader")
wait_for 10 grep -qs 'listening on' "$work/reader.err" || fail "tcpdump is not ready"
play ring "$reader"
stop "$sink_pid" || fail "mirrorsink ends with status $?"
await "$reader" || true # it says that the interface is gone
check "$work" ring 0 <"$work/same.py"

in_space=()
testpmd_start peer "--vdev=net_memif0,role=server,socket=$work/memif,socket-abstract=no" \
	"--vdev=net_pcap0,tx_pcap=$work/memif.pcap" --
reader=$pid
begin memif net_memif0 "--vdev=net_memif0,role=client,socket=$work/memif,socket-abstract=no"
play memif "$reader"
stop "$sink_pid" || fail "mirrorsink ends with status $?"
stop "$reader" INT || true
check "$work" memif 0 <"$work/same.py"
