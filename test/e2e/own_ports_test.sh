#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     namespace a              namespace b
#     +------------+           +------------------------------------------------------+
#     | send.py - a0 -- veth - b0 --> mirrorsink --+--> ids64, ids65, ids66 --> tcpdump
#     +------------+           |                   +--> archive.pcapng                |
#                              +------------------------------------------------------+
#
# "Tenant": "port": each session has a tap of its own. Sessions have the same inner addresses, so
# only the tap tells them apart.
#
# Succeeds if
#  - taps of configured sessions are there at the start, that of a session that a reload brings is
#    there after it, and each has exactly the frames of its session, byte for byte, in order;
#  - a session that nobody configured gets its tap after its first frame; the frames that came
#    before are no_port, all others are on it, and the file beside it has all of them;
#  - telemetry and summary show the port of each session;
#  - too many sessions, a name that is too long or taken, or not one for each session are refused with
#    status 2 and a message, and leave no tap behind;
#  - status 0, and the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wire
need_command tcpdump tshark

cat >"$work/make.py" <<'END'
"""Frames of one VNI, with addresses that are those of the others, too."""
import sys
import judge
import packets as p

path, vni, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
made = []
for i in range(count):
    kind, packet = p.ip(p.udp(b"%d of %d" % (i, vni), 40000, 40001), p.UDP, "10.0.0.1", "10.0.0.2")
    made.append((i, p.mirror(p.ether(packet, kind), vni)))
judge.write_pcap(path, made)
END
for vni in 64 65 66; do
	"$python" "$work/make.py" "$work/$vni.pcap" "$vni" 300
	# what is to come out, taken out by tshark's own decoder
	tshark -r "$work/$vni.pcap" -T fields -e data.data 2>/dev/null >"$work/$vni.txt"
	[[ $(sort -u "$work/$vni.txt" | wc -l) == 300 ]] || fail "frames are not told apart"
done

# sessions FILE VNI...: an AWS document
sessions()
{
	local file=$1 vni

	shift
	for vni in "$@"; do
		echo "{\"TrafficMirrorSessionId\": \"tms-$vni\", \"VirtualNetworkId\": $vni}"
	done | jq -s '{TrafficMirrorSessions: .}' >"$file"
}
cat >"$work/own.json" <<END
{"Outputs": [
	{"Name": "ids", "Type": "port", "Tenant": "port", "Interface": "ids{vni}"},
	{"Name": "archive", "Type": "pcapng", "Path": "$work/archive.pcapng"}
]}
END

in_b=(ip netns exec "$space_b")

# listen VNI: tcpdump on the tap of a session; it has begun when this returns.
listen()
{
	rm -f "$work/tcpdump$1.err" "$work/tap$1.pcap"
	"${in_b[@]}" tcpdump -i "ids$1" -Z root -U --immediate-mode -s 200 -B 8192 -w "$work/tap$1.pcap" \
		2>"$work/tcpdump$1.err" &
	started+=("$!")
	wait_for 5 grep -q listening "$work/tcpdump$1.err" || fail "tcpdump does not listen to ids$1"
}

# tap_has VNI FIRST: whether the tap had the session's frames from number FIRST on, and no others.
tap_has()
{
	tshark -r "$work/tap$1.pcap" -T fields -e data.data 2>/dev/null |
		cmp -s - <(tail -n "+$(($2 + 1))" "$work/$1.txt")
}

send()
{
	send_frames "$work/$1.pcap" 3000
}

is_there()
{
	ip -n "$space_b" link show "$1" >/dev/null 2>&1
}

port_of()
{
	telemetry "$1" /mirrorsink/sessions | jq -r ".[][] | select(.vni == $2) | .port"
}

in_space=("${in_b[@]}")
use_lcores 3
sessions "$work/sessions.json" 64 65
sink_start configured "$b0" -- -W 1 -c "$work/own.json" -c "$work/sessions.json" \
	--summary "$work/s.json"
sink_pid=$pid
assert_equal "$(port_of configured 65)" net_tap_ids65 "the port of session tms-65"
is_there ids66 && fail "a tap that nobody asked for"
listen 64
listen 65
send 64
send 65
sessions "$work/sessions.json" 64 65 66
kill -HUP "$sink_pid"
wait_for 5 is_there ids66 || fail "no tap for the session that the reload has brought"
wait_for 5 grep -q "session tms-66 has the port net_tap_ids66 now" "$work/configured.err" ||
	fail "nothing is said of the new tap"
listen 66
# one that needs too many changes nothing
sessions "$work/sessions.json" $(seq 64 100)
kill -HUP "$sink_pid"
wait_for 5 grep -q "no port is left for session tms-9" "$work/configured.err" ||
	fail "a reload with too many sessions is not refused"
grep -q "the configuration was not reloaded" "$work/configured.err" || fail "it was reloaded"
send 66
for vni in 64 65 66; do
	wait_for 10 tap_has "$vni" 0 || fail "ids$vni has not the frames of its session"
done
stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys
import judge
summary = judge.load(f"{sys.argv[1]}/s.json")
judge.check_fates(summary, {"delivered": 900})
for name in "ids", "archive":
    output = judge.output_named(summary, name)
    judge.demand(output["written"] == 900 and not any(output["dropped"].values()), "%r", output)
ports = {s["session"]: s["port"] for s in summary["sessions"]}
judge.demand(ports == {f"tms-{n}": f"net_tap_ids{n}" for n in (64, 65, 66)}, "%r", ports)
END

# a session that is first seen gets its tap then
sink_start learned "$b0" -- -W 0 -c "$work/own.json" --summary "$work/s.json"
sink_pid=$pid
"$python" "$work/make.py" "$work/first.pcap" 64 5
send_frames "$work/first.pcap" 1000
wait_for 5 is_there ids64 || fail "no tap for a session that was seen"
wait_for 5 grep -q "session vni64 has the port net_tap_ids64 now" "$work/learned.err" ||
	fail "nothing is said of the tap"
listen 64
send 64
wait_for 10 tap_has 64 0 || fail "ids64 has not the frames of its session"
stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/s.json"
check "$work" <<'END'
import sys
import judge
summary = judge.load(f"{sys.argv[1]}/s.json")
judge.check_fates(summary, {"delivered": 305})
ids, archive = (judge.output_named(summary, name) for name in ("ids", "archive"))
judge.demand(archive["written"] == 305, "%r", archive)
judge.demand(ids["written"] == 300 and ids["dropped"]["no_port"] == 5, "%r", ids)
END

# what can't be
mkdir "$work/bad" "$work/bad/out"
cd "$work/bad"
sessions many.json $(seq 1 40)
sessions long.json 16777215
sessions two.json 64 65
own()
{
	echo "{\"Outputs\": [{\"Name\": \"ids\", \"Type\": \"port\", \"Tenant\": \"port\"," \
		"\"Interface\": \"$1\"}]}" >own.json
}
own 'ids{vni}'
refuse sink "more sessions than ports" 'own.json:1:14: output ids: no port is left for session' -- \
	"$b0" -- -c own.json -c many.json
own 'sessions{vni}'
refuse sink "a name that is too long" \
	"output ids: 'sessions\{vni\}' is no name for an interface of session tms-16777215" -- \
	"$b0" -- -c own.json -c long.json
ip -n "$space_b" link add ids65 type veth peer name other
own 'ids{vni}'
refuse sink "a name that is taken" \
	"the tap ids65 of session tms-65 cannot be made: there is an interface of this name" -- \
	"$b0" -- -c own.json -c two.json
refused_all
assert_equal "$(ip -n "$space_b" -br link | grep -c ^ids)" 1 "interfaces that are left"
