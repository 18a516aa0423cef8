#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, without end --> mirrorsink --> null, a pipe, a file       mirrorctl health, status
#                                  |                                         |
#                                  +--- telemetry socket --------------------+--> HTTP, TCP checks
#
#     namespace a                   namespace b
#     send.py --> a0 -- veth -- b0 --> mirrorsink --> pcapng, tap ids0
#
# Succeeds if
#  - mirrorctl health is healthy, with status 0, when it is, and not, with status 1 and a message
#    that names what it is, when: an rx lcore or the main one stands still, the whole program is
#    stopped, is not there, a pipe's reader does not read, a file cannot be written, a port takes
#    nothing; and healthy again when that is over;
#  - the listeners, started before the sink and never again, follow: HTTP 200 or 503 by GET and HEAD
#    on any path, 405 for others, over IPv4 and IPv6; TCP open or refused;
#  - a trickle of frames raises no alarm, nor does a burst that was dropped long ago;
#  - status has the ledger's numbers, and wrong command lines end with status 2 and a message;
#  - the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check "$work" <<'END'
import random
import sys
import judge
import packets as p

frames = p.flow_frames(random.Random(5), 200, longest=400)
made = [(i, p.mirror(frame, 77)) for i, frame in enumerate(frames)]
judge.write_pcap(f"{sys.argv[1]}/in.pcap", made)
judge.write_pcap(f"{sys.argv[1]}/few.pcap", made[:30])
END
endless=--vdev=net_pcap0,rx_pcap=$work/in.pcap,infinite_rx=1

# health RUN STATUS [PATTERN]: what mirrorctl health says within 8 seconds, and how it ends.
health()
{
	local end=$((SECONDS + 8)) status

	while :; do
		status=0
		ctl "$1" health >"$work/health.txt" || status=$?
		if ((status == $2)) && grep -Eq -e "${3:-.}" "$work/health.txt"; then
			return
		fi
		((SECONDS <= end)) || break
		sleep 0.1
	done
	fail "health of $1: status $status, expected $2 with '${3:-}': $(cat "$work/health.txt")"
}

# lets HTTP TCP: what the two listeners come to answer.
lets()
{
	local one

	for one in "http 127.0.0.1 $((port + 0)) $1" "http ::1 $((port + 1)) $1" \
		"tcp 127.0.0.1 $((port + 2)) $2"; do
		# shellcheck disable=SC2086 # words
		answers $one 5 >"$work/answer" || fail "$one: $(cat "$work/answer")"
	done
}

# Wrong command lines.
bad=0
wrong()
{
	local status=0 pattern=$1

	shift
	"$MIRRORCTL" "$@" >"$work/wrong.out" 2>"$work/wrong.err" || status=$?
	assert_equal "$status" 2 "status of mirrorctl $*"
	grep -Eq -e "$pattern" "$work/wrong.err" || fail "mirrorctl $*: $(cat "$work/wrong.err")"
	bad=$((bad + 1))
}
wrong 'which command\? give one of health, status'
wrong "'healthy' is no command: give one of health, status" healthy
wrong "'now' is too much" health now
wrong "status does not listen" status --listen 127.0.0.1:80
wrong "give one of them" health --json --listen 127.0.0.1:80
wrong "listen: '127.0.0.1' is not ADDRESS:PORT" health --listen 127.0.0.1
wrong "listen: '::1:80' is not ADDRESS:PORT" health --listen ::1:80
wrong "listen: ':80' is not ADDRESS:PORT" health --listen :80
wrong "listen: '\[10.0.0.1\]:80' is not ADDRESS:PORT" health --listen '[10.0.0.1]:80'
wrong "listen: 'localhost' is no IP address" health --listen localhost:80
wrong "listen-tcp: '65536' is too large" health --listen-tcp 127.0.0.1:65536
wrong "cannot listen on 192.0.2.1:80: Cannot assign" health --listen-tcp 192.0.2.1:80
wrong "cannot listen on 192.0.2.1:80: Cannot assign" health --listen 192.0.2.1:80
wrong "file-prefix: 'a/b' is no name" -f a/b health
wrong 'unrecognized option' health --frob
"$MIRRORCTL" --help | grep -q -- '--listen-tcp ADDR:PORT' || fail "--help"
"$MIRRORCTL" --version | grep -Eq '^mirrorctl [0-9]' || fail "--version"
echo "$bad wrong command lines"

# Listeners first, on ports that are free, then the sink.
port=$(check <<'END'
import socket

held = []
for first in range(20000, 30000, 7):
    try:
        for offset, family in ((0, "127.0.0.1"), (1, "::1"), (2, "127.0.0.1")):
            held.append(socket.create_server((family, first + offset),
                        family=socket.AF_INET6 if ":" in family else socket.AF_INET))
    except OSError:
        continue
    print(first)
    break
END
)
listener run --listen "127.0.0.1:$port" --listen-tcp "127.0.0.1:$((port + 2))"
listener_pid=$pid
listener run --listen "[::1]:$((port + 1))"
lets 503 refused
health run 1 'no sink runs at .*start mirrorsink, or name its --file-prefix'
ctl run status >"$work/status.out" 2>"$work/status.err" && fail "status of no sink"
grep -q 'no sink runs at' "$work/status.err" || fail "status: $(cat "$work/status.err")"

use_lcores 3
sink_start run "$endless" -- -W 1 --summary "$work/run.json"
sink_pid=$pid
lets 200 open
health run 0 '^healthy'
ctl run health --json >"$work/health.json"
check "$work" "$port" <<'END'
import http.client
import json
import sys
import judge

work, port = sys.argv[1], int(sys.argv[2])
said = judge.load(f"{work}/health.json")
judge.demand(said["healthy"] is True and said["problems"] == [], "%r", said)
judge.demand({n: (one["role"], one["ok"]) for n, one in said["lcores"].items()} ==
             {"1": ("rx", True), "2": ("worker", True)}, "%r", said)
judge.demand([(o["name"], o["ok"]) for o in said["outputs"]] ==
             [("null", True)], "%r", said)


def ask(method, path, host="127.0.0.1", body=None, at=port):
    connection = http.client.HTTPConnection(host, at, timeout=5)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer


status, body, answer = ask("GET", "/")
judge.demand(status == 200 and json.loads(body)["healthy"] is True, "%r %r", status, body)
judge.demand(answer.headers["Content-Type"] == "application/json", "%s", answer.headers)
judge.demand(json.loads(ask("GET", "/", "::1", at=port + 1)[1])["healthy"] is True, "IPv6")
judge.demand(ask("HEAD", "/health?x=1")[:2] == (200, b""), "HEAD")
status, body, answer = ask("POST", "/", body=b"x" * 100000)
judge.demand(status == 405 and answer.headers["Allow"] == "GET, HEAD", "POST: %r", status)
END

freeze "$sink_pid" 1
health run 1 '^rx lcore 1 has not moved for [0-9]+ ms'
lets 503 refused
thaw
lets 200 open
freeze "$sink_pid" main
answers http 127.0.0.1 "$port" 503 12 >"$work/answer" || fail "main: $(cat "$work/answer")"
health run 1 '^the main lcore has not looked for [0-9]+ s'
thaw
lets 200 open
kill -STOP "$sink_pid"
health run 1 'does not answer within 500 ms'
lets 503 refused
kill -CONT "$sink_pid"
lets 200 open

ctl run status --json >"$work/status.json"
stop "$sink_pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/run.json"
check "$work" <<'END'
import sys
import judge

work = sys.argv[1]
summary, status = judge.load(f"{work}/run.json"), judge.load(f"{work}/status.json")
judge.demand(0 < status["ledger"]["received"] <= summary["received"]["packets"], "received")
judge.demand(status["ledger"]["fates"].keys() == summary["fates"].keys(), "fates")
judge.demand([o["name"] for o in status["outputs"]] == ["null"], "%r", status["outputs"])
judge.demand([s["vni"] for s in status["sessions"]] == [77], "%r", status["sessions"])
judge.demand([(p["name"], p["role"], p["state"]) for p in status["ports"]] ==
             [("net_pcap0", "mirror", "up")], "%r", status["ports"])
END
lets 503 refused
sink_start run "$endless" -- -W 1
lets 200 open
stop "$pid" || fail "mirrorsink ends with status $?"
lets 503 refused
stop "$listener_pid" || fail "mirrorctl ends with status $?"

# A pipe that is open and not read, then is.
use_lcores 2
mkfifo "$work/pipe"
exec 7<>"$work/pipe"
program_line "$MIRRORSINK" pipe "$endless" -- -w - --when-full drop --summary "$work/pipe.json"
"${line[@]}" >"$work/pipe" 2>"$work/pipe.err" &
pid=$!
started+=("$pid")
wait_for 20 ready pipe || fail "mirrorsink is not ready"
health pipe 1 '^output write has taken no frame for [0-9]+ ms'
cat <&7 >/dev/null &
started+=($!)
health pipe 0 '^healthy'
stop "$pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/pipe.json"

# A file on a full disk.
ln -s /dev/full "$work/full.pcapng"
sink_start full "$endless" -- -w "$work/full.pcapng" --summary "$work/full.json"
health full 1 '^output write has taken no frame'
sleep 2.5
health full 1 '^output write has taken no frame'
stop "$pid" && fail "status 0 with a file that was not written"
assert_ledger "$work/full.json"

# always SECONDS RUN: healthy at each look, but for one in ten that a busy machine answers too late.
always()
{
	local end=$((SECONDS + $1)) looks=0 late=0

	while ((SECONDS < end)); do
		looks=$((looks + 1))
		if ! ctl "$2" health >"$work/health.txt" 2>&1; then
			grep -q 'does not answer within' "$work/health.txt" ||
				fail "alarm: $(cat "$work/health.txt")"
			late=$((late + 1))
		fi
		sleep 0.1
	done
	((late * 10 <= looks)) || fail "$late of $looks looks were not answered in time"
}

wire
[[ -c /dev/net/tun ]] || skip "no /dev/net/tun here"
in_space=(ip netns exec "$space_b")
sink_start slow "$b0" --vdev=net_tap0,iface=ids0 -- -w "$work/slow.pcapng" -f net_tap0 -W 0 \
	--summary "$work/slow.json"
in_space=()
send_frames "$work/few.pcap" 5 &
started+=($!)
always 8 slow
wait "${started[-1]}"
ip -n "$space_b" link set ids0 down
send_frames "$work/few.pcap" 5 &
started+=($!)
health slow 1 '^output forward has taken no frame for [0-9]+ ms'
ip -n "$space_b" link set ids0 up
health slow 0 '^healthy'
wait "${started[-1]}"
ip -n "$space_b" link set ids0 down
send_frames "$work/few.pcap" 1000
always 5 slow
stop "$pid" || fail "mirrorsink ends with status $?"
assert_ledger "$work/slow.json"
check "$work" <<'END'
import sys
import judge

outputs = judge.load(f"{sys.argv[1]}/slow.json")["outputs"]
lost = sum(outputs[1]["dropped"][why] for why in ("port_down", "port_full"))
judge.demand(outputs[0]["written"] == 90 and 30 < lost <= 60, "%r", outputs)
END
