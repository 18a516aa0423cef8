#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The five-minute run: installs, builds, mirrors sample traffic of two hosts with mirrorsource and
# catches it with mirrorsink. Needs no NIC, no hugepages and no AWS account.
#
#     web-1  10.0.1.10 --- session tms-01..., VNI 64 ---+
#                                                       +--> mirrorsink --> build/demo/demo.pcapng
#     web-2  10.0.2.10 --- session tms-02..., VNI 65 ---+
#
# The filters and sessions are scripts/demo/*.json, as `aws ec2 describe-...` prints them.
set -euo pipefail
. "$(dirname "$0")/common.sh"

out=build/demo

# Shows a command as one would type it, an option never apart from its argument, then runs it.
run() {
	echo "$dim\$ $*$plain" | sed -E 's/ (--?[a-z-]+) ([^-])/ \1\x01\2/g' | fold -s -w 92 |
		tr '\001' ' ' | sed -e '2,$s/^/    /' -e '$!s/$/\\/'
	"$@"
}

scripts/setup.sh demo

say "Building"
configure "$out" -Dbuildtype=release -Dtests=disabled
ninja --quiet -C "$out"

# EAL takes memory as it comes and looks for no device; the lcores are two of the processors that we
# may use, or one processor twice.
lcores=$(python3 -c 'import os
cpus = sorted(os.sched_getaffinity(0))
print(f"0@{cpus[0]},1@{cpus[-1]}")')
eal=(--no-huge --no-pci --no-shconf "--lcores=$lcores" --no-telemetry --log-level=warning)

say "Mirroring the traffic of two hosts, as AWS does at the source"
for host in 1 2; do
	scripts/sample-frames.py --host "$host" "$out/web-$host.pcap"
done
# The second session asks for a PacketLength of 128: AWS cuts what it mirrors, so does mirrorsource.
run "$out/app/mirrorsource/mirrorsource" "${eal[@]}" "--vdev=net_pcap0,rx_pcap=$out/web-1.pcap" \
	-- --source-address 10.0.1.10 --target-address 10.0.8.10 --vni 64 \
	-w "$out/mirrored-1.pcap" -a idle:200
run "$out/app/mirrorsource/mirrorsource" "${eal[@]}" "--vdev=net_pcap0,rx_pcap=$out/web-2.pcap" \
	-- --source-address 10.0.2.10 --target-address 10.0.8.10 --vni 65 --packet-length 128 \
	-w "$out/mirrored-2.pcap" -a idle:200

say "Catching it"
run "$out/app/mirrorsink/mirrorsink" "${eal[@]}" \
	"--vdev=net_pcap0,rx_pcap=$out/mirrored-1.pcap" \
	"--vdev=net_pcap1,rx_pcap=$out/mirrored-2.pcap" \
	-- -c scripts/demo/interfaces.json -c scripts/demo/vpcs.json \
	-c scripts/demo/filters.json -c scripts/demo/sessions.json \
	-w "$out/demo.pcapng" -a idle:500 --summary "$out/demo.json"

cat <<END

${bold}$out/demo.pcapng${plain} has the inner frames that the filters accepted, one interface a session.
  wireshark $out/demo.pcapng    look at them
  less $out/demo.json           the ledger again, for programs
  $out/app/mirrorsink/mirrorsink -- --check -c scripts/demo/filters.json
                                       what the filters compile to
  scripts/test.sh                      install what the tests need, and run them all
END
