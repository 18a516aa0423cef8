#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     one.pcap --> net_pcap0 (mirror) <--> net_pcap2 (exception) <-- said-one.pcap
#     two.pcap --> net_pcap1 (mirror) <--> net_pcap3 (exception) <-- said-two.pcap
#                        |                       |
#              what each port sends: out-0.pcap ... out-3.pcap
#
# Succeeds if
#  - each exception port gets what is no mirror traffic of its mirror port, byte by byte and in order,
#    and nothing else; and each mirror port sends what its exception port has received;
#  - with one -x only the first mirror port has a kernel's side: what comes by the other one is
#    dropped, and a mirror port without an exception port sends nothing;
#  - each packet that is not_mirror was sent, or came by a port that has no exception port; the
#    ledger balances.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

check "$work" <<'END'
import sys
import judge
import packets as p

work = sys.argv[1]
for n, name in enumerate(("one", "two")):
    made = []
    for i in range(300):
        frame = p.ether(p.ipv4(p.udp(bytes(i % 50), 7, 9), p.UDP, "10.2.0.1", "10.3.0.1"), 0x0800)
        other = p.arp(f"10.{n}.{i // 250}.{i % 250 + 1}", "10.9.0.1")
        made.append((i, other if i % 3 else p.mirror(frame, 70 + n)))
    judge.write_pcap(f"{work}/{name}.pcap", made)
    said = [(i, p.arp(f"10.8.{n}.{i + 1}", "10.9.0.2")) for i in range(100)]
    judge.write_pcap(f"{work}/said-{name}.pcap", said)
END

# try RUN EXCEPTIONS
try()
{
	local run=$1 exceptions=() ports=() i from

	for i in 0 1 2 3; do
		from=(one two said-one said-two)
		ports+=("--vdev=net_pcap$i,rx_pcap=$work/${from[i]}.pcap,tx_pcap=$work/out-$i.pcap")
	done
	for ((i = 2; i < 2 + $2; i++)); do
		exceptions+=(-x "net_pcap$i")
	done
	sink "$run" "${ports[@]}" -- -r net_pcap0 -r net_pcap1 "${exceptions[@]}" -W 0 -a idle:500 \
		--summary "$work/$run.json" || fail "$run: mirrorsink ends with status $?"
	assert_ledger "$work/$run.json"
	check "$work" "$run" "$2" <<'END'
import sys
import judge

work, run, exceptions = sys.argv[1], sys.argv[2], int(sys.argv[3])
summary = judge.load(f"{work}/{run}.json")
judge.check_fates(summary, {"delivered": 200, "not_mirror": 400})
want = {"sent": 200 * exceptions, "dropped": 0, "returned": 100 * exceptions, "lost": 0}
judge.demand(summary["exception"] == want, "%r, expected %r", summary["exception"], want)


def frames(name):
    return [one.data for one in judge.read(f"{work}/{name}.pcap").packets]


for n, name in enumerate(("one", "two")):
    others = [frame for i, frame in enumerate(frames(name)) if i % 3]
    paired = n < exceptions
    judge.compare(frames(f"out-{n + 2}") if paired else [], others if paired else [], name)
    judge.compare(frames(f"out-{n}"), frames(f"said-{name}") if paired else [], f"said-{name}")
END
	rm "$work"/out-*.pcap
}
try both 2
try first 1
try none 0
