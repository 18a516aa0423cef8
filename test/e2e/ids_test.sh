#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     captures of inner/       in.pcap ------------> suricata -r ------> eve.json
#      + conversations            |                                          |  the same?
#                            mirrorsource                                    |
#                                 | a0 ~ b0                                  |
#                            mirrorsink -- tap ids0 -> suricata -------> eve.json
#                                                  \-> tcpdump --------> tap.pcap
#
# An IDS on the tap of a running sink sees what it would see at the source: captures of all sorts,
# malformed ones included, and conversations of HTTP, TLS and DNS.
#
# Succeeds if
#  - at least 40 captures were mirrored, and Suricata's alerts, flow, dns, http and tls records of
#    the tap are those of the original frames, each as often, and many of each;
#  - tcpdump on the tap has the original frames, in order, byte for byte;
#  - Suricata on an original that lacks one frame records something else, whichever frame of a
#    conversation it is;
#  - nothing is lost on the way, and the ledgers balance.
set -euo pipefail
. "$(dirname "$0")/ids.sh"

need_captures inner
wire
ids_original
ids_config ids0
ids_read original "$work/in.pcap"
"$python" "$here/eve.py" count "$work/original/eve.json" alert 400 flow 300 dns 100 http 70 tls 20
for rule in {1..15}; do
	ids_alerts original "$rule" 1 || fail "the test is weak: rule $rule says nothing"
done

in_space=(ip netns exec "$space_b")
sink_start sink "$b0" --vdev=net_tap0,iface=ids0 -- -f net_tap0 -a duration:120 \
	--summary "$work/sink.json"
sink_pid=$pid
tap_start tap ids0
tap_pid=$pid
ids_start ids
ids_pid=$pid
ids_feed
wait_for 30 ids_alerts ids 99 16 || fail "Suricata does not see the last frames"
ids_stop ids "$ids_pid"
tap_stop tap "$tap_pid"
stop "$sink_pid" || fail "mirrorsink ends with status $?"

assert_ledger "$work/sink.json"
check "$work" "$frames" <<'END'
import sys, judge
work, frames = sys.argv[1], int(sys.argv[2])
summary = judge.load(f"{work}/sink.json")
judge.check_fates(summary, {"delivered": frames})
judge.demand(judge.output_named(summary, "forward")["written"] == frames, "%r", summary["outputs"])
got, want = (judge.read(f"{work}/{name}.pcap").packets for name in ("tap", "in"))
judge.compare([one.data for one in got], [one.data for one in want], "the tap")
END
"$python" "$here/eve.py" compare "$work/ids/eve.json" "$work/original/eve.json"

# Whether this would have told anything.
check "$work" <<'END'
import sys, judge
work = sys.argv[1]
packets = [(one.time, one.data) for one in judge.read(f"{work}/in.pcap").packets]
for i in range(10):
    lost = len(packets) - 50 - 101 * i  # of the conversations
    judge.write_pcap(f"{work}/spoiled{i}.pcap", packets[:lost] + packets[lost + 1 :])
END
for i in {0..9}; do
	ids_read "spoiled$i" "$work/spoiled$i.pcap"
	! "$python" "$here/eve.py" compare "$work/ids/eve.json" "$work/spoiled$i/eve.json" \
		2>"$work/spoiled$i.txt" || fail "a missing frame goes unnoticed"
	grep -q 'not expected' "$work/spoiled$i.txt" || fail "$(cat "$work/spoiled$i.txt")"
done
