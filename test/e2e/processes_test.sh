#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     process 1                                        process 2
#     +-----------------------------------+            +-----------------------------------+
#     | net_pcap --> mirrorsink --> PORT -|-- shared --|- PEER --> testpmd --> RUN.pcap    |
#     +-----------------------------------+   memory   +-----------------------------------+
#
# A memif, with the sink as its client and as its server, and as a client that does not copy: then
# the peer reads frames where the sink received them, which it can only if it has that memory mapped.
# And net_virtio_user with net_vhost at the other end. The last two need hugepages.
#
# Succeeds if, each time,
#  - RUN.pcap, written by testpmd, has all frames that fit, byte for byte and in order: 1,522 bytes of
#    a memif or what its buffers hold, 9,022 of virtio;
#  - written is just that, and all others are port_length;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command dpdk-testpmd
seed=${SEED:-7}
echo "seed $seed"
count=6007
check "$work/in.pcap" "$seed" "$count" <<'END'
import random
import sys
import judge
import packets

# more than a ring holds at once, so that it goes round
chance = random.Random(int(sys.argv[2]))
frames = packets.flow_frames(chance, 6000)
for length in (60, 512, 1518, 1522, 1523, 4000, 9022):
    frames.append(packets.ether(chance.randbytes(length - 14), 0x88B5))
judge.demand(len(frames) == int(sys.argv[3]), "%d frames", len(frames))
chance.shuffle(frames)
judge.write_pcap(sys.argv[1], [(1_700_000_000 * judge.NS + i * 1000, packets.mirror(frame, 64))
                               for i, frame in enumerate(frames)])
END

# offered RUN: have all frames come to the output?
offered()
{
	telemetry "$1" /mirrorsink/outputs | grep -q "\"offered\": $count,"
}

# shares_memory PID PEER: has the peer mapped a file that the sink has its memory in?
shares_memory()
{
	awk '/memfd:seg/ {print $5}' "/proc/$1/maps" | sort -u |
		grep -qwFf - <(awk '/memfd/ {print $5}' "/proc/$2/maps")
}

# start_peer RUN VDEV
start_peer()
{
	testpmd_start "$1.peer" "--vdev=$2" "--vdev=net_pcap9,tx_pcap=$work/$1.pcap" --
	peer_pid=$pid
}

# try RUN LONGEST DEVICE PEER-DEVICE [first]: first if the sink has to be there before its peer
try()
{
	local sink_pid

	[[ -n ${5:-} ]] || start_peer "$1" "$4"
	sink_start "$1" "--vdev=net_pcap0,rx_pcap=$work/in.pcap" "--vdev=$3" -- -r net_pcap0 \
		-f "${3%%,*}" --summary "$work/$1.json"
	sink_pid=$pid
	[[ -z ${5:-} ]] || start_peer "$1" "$4"
	wait_for 30 offered "$1" || fail "$1: not all frames are offered after 30 seconds"
	if [[ $1 == zero-copy || $1 == virtio ]]; then
		shares_memory "$sink_pid" "$peer_pid" || fail "$1: the peer has not mapped the memory"
	fi
	sleep 0.5 # for what is in the ring
	# the peer first: one that reads a memif without copies crashes when its memory goes away
	stop "$peer_pid" INT || true
	stop "$sink_pid" || fail "$1: mirrorsink ends with status $?"
	check "$work" "$1" "$2" <<-'END'
		import sys
		import judge
		work, run, longest = sys.argv[1], sys.argv[2], int(sys.argv[3])
		frames = [judge.decapsulate(p.data).frame for p in judge.read(f"{work}/in.pcap").packets]
		want = [frame for frame in frames if len(frame) <= longest]
		got = [p.data for p in judge.read(f"{work}/{run}.pcap").packets]
		judge.compare(got, want, run)
		summary = judge.load(f"{work}/{run}.json")
		judge.check_ledger(summary)
		output = summary["outputs"][0]
		judge.demand(output["offered"] == len(frames) and output["written"] == len(want), "%r", output)
		judge.demand(output["dropped"]["port_length"] == len(frames) - len(want), "%r", output)
		print(f"{run}: {len(want)} of {len(frames)} frames")
	END
}

memif=net_memif0,socket-abstract=no,socket=$work
try client 1522 "$memif/1,role=client" "$memif/1,role=server"
try server 1522 "$memif/2,role=server" "$memif/2,role=client" first
try small 512 "$memif/3,role=client,bsize=512" "$memif/3,role=server"
hugepages 800
try zero-copy 1522 "$memif/4,role=client,zero-copy=yes" "$memif/4,role=server"
try virtio 9022 "net_virtio_user0,path=$work/5" "net_vhost0,iface=$work/5"
