#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                 namespace b
#     +----------------+          +-------------------------------------------------+
#     | latency.py    a0 - veth --|- b0 (af_packet) --> mirrorsink -W 1 --> out0, a tap
#     | ping           |          |                      ^ |                        |
#     +----------------+          |     eni0, a tap: exception port                 |
#                                 |                                                 |
#                                 |  in0, a tap ----> mirrorsink -W 0 --> out0      |
#                                 |                                                 |
#                                 |  mid0, a tap --> testpmd -- vhost --> mirrorsink --> out0
#                                 +-------------------------------------------------+
#
# What lcores do that have nothing to do: --idle. A driver without interrupts, one whose descriptor
# tells by itself, and one whose interrupts are asked for and taken away (with hugepages only).
#
# Succeeds if
#  - with `poll` the lcores take a whole processor, so that the next has something to show; it never
#    waits;
#  - with `adaptive` they take less than a tenth of one, the program is healthy all the while, and
#    every lcore waits as it says: by sleeps, or by interrupts and hardly by sleeps;
#  - each of 300 frames, sent one by one with pauses, comes out, half of them within 4 ms (sleeps are
#    0.5 ms) or 2 ms (interrupts; half a wait would be 5), as a machine that is busy allows;
#  - so do pings through the exception port;
#  - a burst of 2,000 after a pause comes out whole;
#  - a reload and the end do not wait for a sleeper, and -a idle ends in time;
#  - the ledgers balance, status 0.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[[ -c /dev/net/tun ]] || skip "no /dev/net/tun here"
need_command ping dpdk-telemetry.py
wire
check "$work" <<'END'
import random
import sys
import judge
import packets

work = sys.argv[1]
# what a tap takes, and a raw socket gives whole: without VLAN tags
frames = [f for f in packets.flow_frames(random.Random(5), 6000)
          if len(f) <= 1514 and f[12:14] not in (b"\x81\x00", b"\x88\xa8")][:2000]
judge.demand(len(frames) == 2000, "%d frames", len(frames))
for name, n in (("few", 300), ("many", 2000)):
    judge.write_pcap(f"{work}/{name}.pcap", [(1_700_000_000 * judge.NS + i, packets.mirror(f, 64))
                                              for i, f in enumerate(frames[:n])])
END

# cpu PID: hundredths of a second that its lcores have taken so far.
cpu()
{
	cat /proc/"$1"/task/*/stat | grep -E '\((rte|lcore)-worker' | awk '{sum += $14 + $15} END {print sum + 0}'
}

# idle_share PID: per cent of a processor that its lcores take, for two seconds.
idle_share()
{
	local before after

	before=$(cpu "$1")
	sleep 2
	after=$(cpu "$1")
	echo $(((after - before) * 100 / 2 / $(getconf CLK_TCK)))
}

# waits RUN: sleeps and interrupts of all lcores so far.
waits()
{
	telemetry "$1" /mirrorsink/idle | "$python" -c '
import json, sys
lcores = list(json.load(sys.stdin)["/mirrorsink/idle"].values())
print(*(sum(one[name] for one in lcores) for name in ("sleeps", "interrupts")))'
}

healthy()
{
	telemetry "$1" /mirrorsink/health | grep -q '"healthy": 1' || fail "$1 is not healthy"
}

# latency RUN SPACE INTERFACE MICROSECONDS CPU: frames one by one, which come out in so long, sent and
# received on a processor on which nobody polls.
latency()
{
	local n p50 p99 most

	read -r n p50 p99 most < <(taskset -c "$5" "$python" "$here/latency.py" "$work/few.pcap" 4 \
		"$2" "$3" "$space_b" out0)
	echo "$1: $n frames of 300; p50 $p50 us, p99 $p99 us, at most $most us"
	assert_equal "$n" 300 "$1: frames that come out"
	((p50 <= $4)) || fail "$1: half of the frames take more than $4 us"
}

# written RUN N: have so many frames come out?
written()
{
	telemetry "$1" /mirrorsink/outputs | grep -q "\"written\": $2,"
}

# finish_sink RUN N: ends it, soon, with a ledger that has so many frames delivered.
finish_sink()
{
	local from

	from=$(date +%s%N)
	stop "$sink_pid" || fail "$1: mirrorsink ends with status $?"
	((($(date +%s%N) - from) / 1000000 < 3000)) || fail "$1: it takes long to end"
	assert_ledger "$work/$1.json"
	assert_equal "$(get "$work/$1.json" fates.delivered)" "$2" "$1: delivered"
	assert_equal "$(get "$work/$1.json" outputs.0.written)" "$2" "$1: written"
}

# begin RUN ...: a sink in b, whose output has come up.
begin()
{
	in_space=(ip netns exec "$space_b")
	sink_start "$1" "${@:2}" --summary "$work/$1.json"
	sink_pid=$pid
	in_space=()
	# what the kernel of b says by itself on its taps is no mirror traffic, and comes before
	sleep 0.3
}

out=--vdev=net_tap8,iface=out0

begin poll "$b0" "$out" -- -r net_af_packet0 -f net_tap8
grep -q 'net_af_packet0, .*idle: polling' "$work/poll.err" || fail "it does not say that it polls"
share=$(idle_share "$sink_pid")
echo "poll: $share % of a processor"
((share >= 40)) || fail "an lcore that polls takes $share %: nothing is shown here"
assert_equal "$(waits poll)" "0 0" "waits of lcores that poll"
latency poll "$space_a" a0 4000 "${cpus[0]}"
finish_sink poll 300

# no interrupts: sleeps, also of the worker, and what the kernel says is carried back
if ((${#cpus[@]} > 1)); then
	lcores=(--lcores "0@${cpus[0]},1@${cpus[1]},2@${cpus[1]}")
else
	lcores=(--lcores "0@${cpus[0]},1@${cpus[0]},2@${cpus[0]}")
fi
echo '{"Outputs": [{"Name": "out", "Type": "port", "Port": "net_tap8"}]}' >"$work/out.json"
begin sleeps "$b0" "$out" --vdev=net_tap0,iface=eni0 -- -W 1 -r net_af_packet0 -c "$work/out.json" \
	-x net_tap0 --idle adaptive
grep -q 'net_af_packet0, .*idle: sleeps' "$work/sleeps.err" || fail "it does not say that it sleeps"
share=$(idle_share "$sink_pid")
read -r sleeps interrupts < <(waits sleeps)
echo "sleeps: $share % of a processor for two lcores, $sleeps sleeps"
((share < 20)) || fail "two lcores that sleep take $share %"
((sleeps > 1000 && interrupts == 0)) || fail "$sleeps sleeps, $interrupts interrupts"
healthy sleeps
latency sleeps "$space_a" a0 4000 "${cpus[0]}"
ip -n "$space_b" addr add 10.9.0.2/24 dev eni0
ip -n "$space_a" addr add 10.9.0.1/24 dev a0
ip netns exec "$space_a" ping -q -c 50 -i 0.02 -W 1 10.9.0.2 >"$work/ping.out" ||
	fail "pings are not answered: $(cat "$work/ping.out")"
grep -q ' 0% packet loss' "$work/ping.out" || fail "pings get lost: $(cat "$work/ping.out")"
sed -n 's/^rtt/sleeps: ping/p' "$work/ping.out"
average=$(sed -n 's,^rtt[^=]*= [^/]*/\([0-9]*\)\..*,\1,p' "$work/ping.out")
((average < 8)) || fail "pings take $average ms"
kill -HUP "$sink_pid"
wait_for 5 grep -q 'configuration reloaded' "$work/sleeps.err" ||
	fail "no reload: $(tail -n 3 "$work/sleeps.err")"
send_frames "$work/many.pcap" 1000000
wait_for 10 written sleeps 2300 || fail "a burst after a pause does not come out whole"
healthy sleeps
finish_sink sleeps 2300

# an end by -a idle, for which control looks more often than an lcore may sleep, each 1 and 5 ms
use_lcores 2
for ms in 8 40; do
	limit=20 sink "idle$ms" "--vdev=net_pcap0,rx_pcap=$work/few.pcap" -- --idle adaptive -a "idle:$ms" \
		--summary "$work/idle$ms.json" || fail "-a idle:$ms: status $?"
	assert_ledger "$work/idle$ms.json"
	assert_equal "$(get "$work/idle$ms.json" fates.delivered)" 300 "delivered"
done

# interrupts that need no asking
begin taps --vdev=net_tap0,iface=in0 "$out" -- -r net_tap0 -f net_tap8 -W 0 --idle adaptive
grep -q 'net_tap0, .*idle: interrupts' "$work/taps.err" || fail "it does not say that it waits"
share=$(idle_share "$sink_pid")
read -r sleeps interrupts < <(waits taps)
echo "taps: $share % of a processor, $interrupts waits"
((share < 10)) || fail "an lcore that waits for interrupts takes $share %"
((sleeps < 20 && interrupts > 20)) || fail "$sleeps sleeps, $interrupts interrupts"
latency taps "$space_b" in0 2000 "${cpus[0]}"
healthy taps
finish_sink taps 300

# interrupts of a device, and a peer that goes away while it is waited for
hugepages 800
need_command dpdk-testpmd
in_space=(ip netns exec "$space_b")
testpmd_start vhost "--vdev=net_vhost0,iface=$work/vhost" --vdev=net_tap1,iface=mid0 --
peer_pid=$pid
begin virtio "--vdev=net_virtio_user0,path=$work/vhost" "$out" -- -r net_virtio_user0 -f net_tap8 -W 0 \
	--idle adaptive
grep -q 'net_virtio_user0, .*idle: interrupts' "$work/virtio.err" || fail "it does not say that it waits"
share=$(idle_share "$sink_pid")
read -r sleeps interrupts < <(waits virtio)
echo "virtio: $share % of a processor, $interrupts waits"
((share < 10)) || fail "an lcore that waits for interrupts takes $share %"
((sleeps < 20 && interrupts > 20)) || fail "$sleeps sleeps, $interrupts interrupts"
latency virtio "$space_b" mid0 2000 "${cpus[-1]}"
stop "$peer_pid" INT || true
sleep 0.5
healthy virtio
finish_sink virtio 300
