#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a                    namespace b
#     +------------+                 +-----------------------------------------------+
#     | send.py - a0 ---- veth ----- b0 --+                     +--> ids0 (net_tap)  |
#     | send.py - c0 ---- veth ----- d0 --+--> mirrorsink -W 1 -+--> out.pcapng      |
#     +------------+                 +-----------------------------------------------+
#
# Ports go while it runs, and come back: their interfaces are deleted and made again, the link of the
# tap goes down and up, devices say (through a preloaded library, by what drivers call) that they are
# unplugged or have to be reset, and ports are detached and attached by name.
#
# Succeeds if after each step
#  - the state of each port is shown, and standard error says what happened and what to do;
#  - the other ports go on: every packet that is sent into one of them is in out.pcapng;
#  - what the tap should get while it is gone or down counts as port_down there, exactly;
#  - a port that is attached again receives or sends everything from then on, and its device's
#    counters go on from where they were;
# and at the end the status is 0, and the ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
need_command tshark
each=200

cat >"$work/make.py" <<'END'
import sys
import judge
import packets as p

for name, vni in ("a", 1), ("c", 2):
    made = []
    for i in range(int(sys.argv[2])):
        datagram = p.udp(b"%d" % i, 1000 + i % 7, 53)
        kind, packet = p.ip(datagram, p.UDP, "10.0.0.1", "10.0.0.2")
        made.append(p.mirror(p.ether(packet, kind), vni))
    judge.write_pcap(f"{sys.argv[1]}/{name}.pcap", [(i, f) for i, f in enumerate(made)])
END
"$python" "$work/make.py" "$work" "$each"

# pair LEFT RIGHT: a veth pair from a to b.
pair()
{
	ip -n "$space_a" link add "$1" mtu 9000 type veth peer name "$2" mtu 9000 netns "$space_b"
	ip -n "$space_a" link set "$1" up
	ip -n "$space_b" link set "$2" up
}
pair c0 d0

shim=$build/test/e2e/libport_events.so
[[ -e $shim ]] || fail "$shim is not built"
mkfifo "$work/events"

use_lcores 3
in_space=(ip netns exec "$space_b" env "LD_PRELOAD=$shim" "PORT_EVENTS=$work/events"
	"ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0")
sink_start life "$b0" --vdev=net_af_packet1,iface=d0,framecnt=8192 --vdev=net_tap0,iface=ids0 -- \
	-W 1 -w "$work/out.pcapng" -f net_tap0 --summary "$work/s.json"
sink_pid=$pid
in_space=()

# state PORT STATE: whether a port has it.
state()
{
	telemetry life /mirrorsink/ports | jq -e --arg name "$1" --arg state "$2" \
		'.[][] | select(.name == $name) | .state == $state' >/dev/null
}

# becomes PORT STATE
becomes()
{
	wait_for 5 state "$1" "$2" || fail "$1 does not become $2"
}

# ctl COMMAND...: mirrorctl, by what it says.
ctl()
{
	"$MIRRORCTL" -f "$prefix-life" "$@" 2>&1
}

# ask attach|detach PORT: done, or a failure.
ask()
{
	ctl "$@" >"$work/ctl.out" || fail "$1 $2: $(cat "$work/ctl.out")"
}

# refused TEXT COMMAND...: it is not done, and mirrorctl says why.
refused()
{
	local text=$1

	shift
	if ctl "$@" >"$work/ctl.out" || ! grep -q "$text" "$work/ctl.out"; then
		fail "$*: $(cat "$work/ctl.out")"
	fi
}

# more N: whether N packets were received, and offered to the tap; sets counts: received, offered,
# written, port_down.
more()
{
	mapfile -t counts < <(telemetry life /mirrorsink/ledger /mirrorsink/outputs | jq '.[] |
		.received // (.[] | select(.name == "forward") |
			.offered, .written, .dropped.port_down)')
	((counts[0] >= $1 && counts[1] >= $1))
}

# All that is sent counts as received, in the file, and on the tap as written or port_down.
sent=0 written=0 port_down=0

# send LINK written|port_down: packets, and what becomes of them at the tap.
send()
{
	local -n kind=$2

	ip netns exec "$space_a" "$python" "$here/send.py" "$1" "$work/${1:0:1}.pcap" 4000
	sent=$((sent + each))
	kind=$((kind + each))
	wait_for 5 more "$sent" || fail "$1: ${counts[*]} received and offered, $sent sent"
	assert_equal "${counts[*]}" "$sent $sent $written $port_down" \
		"received, offered to the tap, written to it, port_down there, after $1"
}

both()
{
	send a0 "$1"
	send c0 "$1"
}

said()
{
	grep -q "$1" "$work/life.err" || fail "standard error does not say: $1"
}

becomes net_tap0 up
both written

echo "a mirror port's interface is deleted, and made again"
ip -n "$space_b" link del b0
becomes net_af_packet0 gone
said "net_af_packet0: its interface was deleted; the others go on. When it is back: mirrorctl attach"
send c0 written
refused "cannot be attached" attach net_af_packet0
pair a0 b0
ask attach net_af_packet0
becomes net_af_packet0 up
both written

echo "the tap's link is down"
ip -n "$space_b" link set ids0 down
becomes net_tap0 down
said "net_tap0: the link is down"
both port_down
ip -n "$space_b" link set ids0 up
becomes net_tap0 up
both written

echo "the tap is deleted"
ip -n "$space_b" link del ids0
becomes net_tap0 gone
said "net_tap0: its interface was deleted; .* counts as port_down"
both port_down
ask attach net_tap0
becomes net_tap0 up
before=$(ip -n "$space_b" -s -j link show ids0 | jq '.[0].stats64.rx.packets')
both written
after=$(ip -n "$space_b" -s -j link show ids0 | jq '.[0].stats64.rx.packets')
assert_equal $((after - before)) $((2 * each)) "frames on the new tap"

echo "devices are unplugged"
echo "net_af_packet1 rmv" >"$work/events"
becomes net_af_packet1 gone
said "net_af_packet1: its device was unplugged"
send a0 written
ask attach net_af_packet1
echo "net_tap0 rmv" >"$work/events"
becomes net_tap0 gone
both port_down
ask attach net_tap0
both written

echo "a device asks to be reset"
echo "net_af_packet0 reset" >"$work/events"
wait_for 5 grep -q "net_af_packet0 was reset, and goes on" "$work/life.err" || fail "no reset"
both written

echo "ports are detached and attached"
for port in net_af_packet0 net_af_packet1 net_tap0; do
	ask detach "$port"
	becomes "$port" gone
	ask detach "$port"
	ask attach "$port"
	becomes "$port" up
done
both written
refused "there already" attach net_tap0
refused "no port of the name 'nothing'" detach nothing
refused "needs what it is about" detach
ctl status | grep -q "net_tap0: output port, up" || fail "status does not show the port"
telemetry life /mirrorsink/detach | grep -q "name the port" || fail "detached without a name"

echo "all are gone, and it ends"
for port in net_af_packet0 net_af_packet1 net_tap0; do
	ask detach "$port"
done
stop "$sink_pid" || fail "mirrorsink ends with status $?"
grep -q "net_tap0: gone" "$work/life.out" || fail "the report does not say that the tap is gone"
assert_ledger "$work/s.json"
check "$work" "$sent" "$written" "$port_down" <<'END'
import sys
import judge

work, (sent, written, port_down) = sys.argv[1], map(int, sys.argv[2:])
summary = judge.load(f"{work}/s.json")
judge.check_fates(summary, {"delivered": sent})
file, tap = (judge.output_named(summary, name) for name in ("write", "forward"))
judge.demand(file["written"] == sent and not any(file["dropped"].values()), "file: %r", file)
judge.demand(tap["offered"] == sent == written + port_down, "tap: %r", tap)
judge.demand(tap["written"] == written, "tap: %r", tap)
judge.demand(tap["dropped"]["port_down"] == port_down, "tap: %r", tap)
judge.demand(sum(tap["dropped"].values()) == port_down, "tap: %r", tap)
device = summary["device"]
counted = sum(device[name]["ipackets"] for name in ("net_af_packet0", "net_af_packet1"))
judge.demand(counted == sent, "the devices of the mirror ports counted %d, not %d", counted, sent)
print(f"{sent} packets, {port_down} of them while the tap was gone or down")
END
assert_equal "$(tshark -r "$work/out.pcapng" -T fields -e frame.number 2>/dev/null | wc -l)" \
	"$sent" "frames that tshark finds in the file"
