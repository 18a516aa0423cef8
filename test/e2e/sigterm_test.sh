#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     in.pcap, without end --> net_pcap0 --> mirrorsink --> out.pcapng
#                                               ^
#                                            SIGTERM, in the middle of it
#
#     namespace a: mirrorsource --loop 0 --- veth --- namespace b: mirrorsink --> out.pcap(ng)
#
# Succeeds if, with -W 0 and with -W 1, for SIGTERM and SIGINT,
#  - mirrorsink ends within seconds, with status 0, and the ledger balances;
#  - the file is whole: the judge or capinfos reads it to its end;
#  - the frames in the file are those that the output has written, and on the veth, where nothing
#    needs to wait, all that were delivered.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_command capinfos

seed=${SEED:-6}
echo "seed $seed"
check "$work" "$seed" <<'END'
import random
import sys
import judge
import packets

frames = packets.flow_frames(random.Random(int(sys.argv[2])), 1000)
for name, wrap in (("mirrored", lambda f: packets.mirror(f, 64)), ("in", lambda f: f)):
    made = [(1_700_000_000 * judge.NS + i * 1000, wrap(f)) for i, f in enumerate(frames)]
    judge.write_pcap(f"{sys.argv[1]}/{name}.pcap", made)
END

# bytes_in FILE N: it has grown to so many.
bytes_in()
{
	(($(stat -c %s "$1" 2>/dev/null || echo 0) >= $2))
}

# frames_in FILE: counted by capinfos, which reads millions in a second and fails on a cut file.
frames_in()
{
	capinfos -T -r -M -c "$1" 2>"$work/capinfos.err" | cut -f 2
	! grep -v 'Running as user "root"' "$work/capinfos.err" >&2
}

for workers in 0 1; do
	use_lcores $((workers + 2))
	sink_start "endless$workers" "--vdev=net_pcap0,rx_pcap=$work/mirrored.pcap,infinite_rx=1" -- \
		-W "$workers" -w "$work/endless.pcapng" -s 64 --summary "$work/s.json"
	wait_for 20 bytes_in "$work/endless.pcapng.part" 1000000 || fail "nothing is written"
	limit=20 stop "$pid" TERM || fail "-W $workers: status $?"
	assert_ledger "$work/s.json"
	frames=$(frames_in "$work/endless.pcapng")
	echo "-W $workers: $frames frames, $(get "$work/s.json" fates.delivered) delivered"
	assert_equal "$frames" "$(get "$work/s.json" outputs.0.written)" "frames in the file, written"
	assert_equal "$(get "$work/s.json" outputs.0.offered)" \
		"$(get "$work/s.json" fates.delivered)" "offered, delivered"
	((frames > 1000)) || fail "only $frames frames"
	rm "$work/endless.pcapng"
done

wire
for round in "0 TERM pcapng" "1 TERM pcap" "1 INT pcapng"; do
	read -r workers signal form <<<"$round"
	use_lcores $((workers + 2))
	in_space=(ip netns exec "$space_b")
	sink_start "live-$workers-$signal" "$b0" -- -W "$workers" \
		-w "$work/live.$form" --summary "$work/s.json"
	sink_pid=$pid
	use_other_lcores
	in_space=(ip netns exec "$space_a")
	source_start "source-$workers-$signal" --vdev=net_af_packet0,iface=a0 \
		"--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- -t net_af_packet0 --rate 5000 --loop 0 \
		--target-mac 02:00:00:00:00:02 --summary "$work/source.json"
	source_pid=$pid
	in_space=()
	wait_for 20 bytes_in "$work/live.$form.part" 300000 || fail "$round: nothing is written"
	limit=20 stop "$sink_pid" "$signal" || fail "$round: mirrorsink ends with status $?"
	limit=20 stop "$source_pid" || fail "$round: mirrorsource ends with status $?"
	assert_ledger "$work/s.json"
	check "$work/live.$form" "$work/s.json" "$work/in.pcap" "$work/source.json" <<-'END'
		import sys, judge
		path, summary, given, source = sys.argv[1:]
		sent = judge.load(source)["fates"]
		judge.demand(sum(sent.values()) == sent["mirrored"], "not all is sent: %r", sent)
		after, summary = judge.read(path), judge.load(summary)
		delivered = summary["fates"]["delivered"]
		judge.demand(summary["outputs"][0]["written"] == delivered, "%r", summary["outputs"])
		want = [p.data for p in judge.read(given).packets]
		want = want * (delivered // len(want) + 2)
		judge.compare([p.data for p in after.packets], want[:delivered], "live")
		judge.demand(delivered > 100, "only %d frames", delivered)
		print(f"{delivered} frames")
	END
	rm "$work/live.$form"
done
