#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                   namespace b
#     +--------------------+        +------------------------------------------------------+
#     | tcpdump <----- a0 -|- veth -|- b0 <-- net_af_packet, net_af_xdp, net_pcap <--+     |
#     +--------------------+        |                                           mirrorsink |
#                                   |  tcpdump <-- ids0 = net_tap <------------------+     |
#                                   |  in.pcap --> net_pcap -------------------------^     |
#                                   +------------------------------------------------------+
#
# Each driver as an output: 2,000 frames of flows, and frames of the lengths around every limit, some
# with a tag or two. Once each frame is in one buffer, and once, with the buffers that a live port
# gets, those of more than 2,048 bytes with their outer headers are in several.
#
# Succeeds if, for each driver and MTU,
#  - what tcpdump got is what fits, byte for byte and in order;
#  - written is just that, and all others are port_length, or port_segments;
#  - the kernel's interface counted what was written, and nothing else;
#  - status 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
need_command tcpdump
seed=${SEED:-7}
echo "seed $seed"

cat >"$work/expected.py" <<'END'
import judge


def fits(frame, longest, tagged):
    """tagged: the longest of those whose outermost tag is 802.1Q."""
    return len(frame) <= (tagged if frame[12:14] == b"\x81\x00" else longest)


def hold(work, run, longest, tagged, whole):
    """whole: the longest frame that comes in one buffer, if others can't be sent; else 0."""
    frames = [judge.decapsulate(p.data).frame for p in judge.read(f"{work}/in.pcap").packets]
    short = [f for f in frames if fits(f, longest, tagged)]
    want = [f for f in short if not whole or len(f) <= whole]
    summary = judge.load(f"{work}/{run}.json")
    judge.check_ledger(summary)
    judge.check_fates(summary, {"delivered": len(frames)})
    output, = summary["outputs"]
    judge.demand(output["offered"] == len(frames) and output["written"] == len(want),
                 "%s: %r, expected %d of %d", run, output, len(want), len(frames))
    drops = {"port_length": len(frames) - len(short), "port_segments": len(short) - len(want)}
    judge.demand({k: n for k, n in output["dropped"].items() if n} ==
                 {k: n for k, n in drops.items() if n}, "%s: %r, expected %r", run, output, drops)
    got = [p.data for p in judge.read(f"{work}/{run}.pcap").packets]
    judge.compare(got, want, run)
    kernel, = output["kernel"].values()
    moved = {name: kernel[name] for name in ("rx_packets", "tx_packets")}
    sent = "rx_packets" if kernel["interface"] == "ids0" else "tx_packets"
    judge.demand(sum(moved.values()) == moved[sent] == len(want), "%s: %r", run, kernel)
    lost = {n: c for n, c in kernel.items() if c and ("drop" in n or "error" in n)}
    judge.demand(not lost or list(lost) == ["rx_dropped"], "%s: %r", run, kernel)
    print(f"{run}: {len(want)} of {len(frames)} frames, {drops}")
END
export PYTHONPATH=$here:$work

check "$work" "$seed" <<'END'
import random
import sys
import judge
import packets

chance = random.Random(int(sys.argv[2]))
frames = packets.flow_frames(chance, 2000)
edges = 1514, 1518, 1522, 2016, 2048, 3014, 3018, 9014, 9018
for length in sorted({edge + i for edge in edges for i in (-1, 0, 1, 4)}):
    for tags in (), ((0x8100, 7),), ((0x88A8, 7), (0x8100, 8)):
        frames.append(packets.ether(chance.randbytes(length - 14 - 4 * len(tags)), 0x88B5,
                                    tags=tags))
chance.shuffle(frames)
print(len(frames), file=open(f"{sys.argv[1]}/count", "w", encoding="utf-8"))
judge.write_pcap(f"{sys.argv[1]}/in.pcap", [(1_700_000_000 * judge.NS + i * 1000,
                                            packets.mirror(frame, 64))
                                           for i, frame in enumerate(frames)])
END

count=$(<"$work/count")

# listen RUN SPACE INTERFACE
listen()
{
	ip netns exec "$2" tcpdump -Z root -i "$3" -B 65536 -s 16384 --immediate-mode -U -w "$work/$1.pcap" \
		2>"$work/$1.tcpdump" &
	listener=$!
	started+=("$listener")
	wait_for 10 grep -qs 'listening on' "$work/$1.tcpdump" || fail "tcpdump is not ready"
}

# offered RUN
offered()
{
	telemetry "$1" /mirrorsink/outputs | grep -q "\"offered\": $count,"
}

# The capture's header, by which the sink starts, and the rest when tcpdump listens.
feed()
{
	head -c 24 "$work/in.pcap"
	wait_for 20 test -e "$work/go"
	tail -c +25 "$work/in.pcap"
}

# try DRIVER MTU one|several LONGEST TAGGED WHOLE DEVICE: LONGEST to WHOLE as in expected.py.
try()
{
	local run=$1-$2-$3 port=${7%%,*} mirrors=(-r net_pcap9)

	# a port that is no capture file, and is idle
	[[ $3 == one ]] || mirrors+=(-r net_ring9)
	ip -n "$space_a" link set a0 mtu "$2"
	ip -n "$space_b" link set b0 mtu "$2"
	rm -f "$work/feed" "$work/go"
	mkfifo "$work/feed"
	feed >"$work/feed" &
	started+=($!)
	in_space=(ip netns exec "$space_b")
	sink_start "$run" "--vdev=net_pcap9,rx_pcap=$work/feed" --vdev=net_ring9 "--vdev=$7" -- \
		"${mirrors[@]}" -f "$port" --when-full wait --summary "$work/$run.json"
	in_space=()
	if [[ $1 == tap ]]; then
		listen "$run" "$space_b" ids0
	else
		listen "$run" "$space_a" a0
	fi
	touch "$work/go"
	wait_for 20 offered "$run" || fail "$run: not all frames are offered after 20 seconds"
	sleep 0.5
	stop "$pid" || fail "$run: mirrorsink ends with status $?"
	kill -INT "$listener" 2>/dev/null || true
	await "$listener" || true
	grep -q '^0 packets dropped by kernel' "$work/$run.tcpdump" ||
		fail "$run: tcpdump lost frames: $(grep dropped "$work/$run.tcpdump")"
	check "$work" "$run" "$4" "$5" "$6" <<-'END'
		import sys, expected
		expected.hold(*sys.argv[1:3], *map(int, sys.argv[3:]))
	END
}

tap=net_tap0,iface=ids0
af_packet=net_af_packet0,iface=b0
jumbo=$af_packet,framesz=16384,blocksz=16384,framecnt=512
pcap=net_pcap0,tx_iface=b0
xdp=net_af_xdp0,iface=b0

for buffers in one several; do
	try tap 1500 $buffers 1522 1522 0 $tap
	try af_packet 1500 $buffers 1514 1518 0 $af_packet
	try af_packet 9000 $buffers 2016 2016 0 $af_packet
	try jumbo 9000 $buffers 9014 9018 0 $jumbo
	try pcap 1500 $buffers 1514 1518 0 $pcap
	try pcap 9000 $buffers 9014 9018 0 $pcap
	try af_xdp 1500 $buffers 1514 1518 0 $xdp
	# a buffer has 2,048 bytes, 50 of which are outer headers
	try af_xdp 3000 $buffers 2048 2048 "$([[ $buffers == one ]] && echo 0 || echo 1998)" $xdp
done
