#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures mirrorsink on two instances with ENA, one that sends mirrored packets and one that receives
# them, and reads off what was lost where:
#
#     bench-ena.sh sink PORT [OPTION...] [-- OPTION OF MIRRORSINK...]
#     bench-ena.sh source PORT OWN-ADDRESS TARGET-ADDRESS [TARGET-MAC] [OPTION...]
#     bench-ena.sh compare SINK-SUMMARY SOURCE-SUMMARY
#
# sink prints a line a second until it is interrupted, and then where packets were lost. source sends
# a trace over and over as one session, with 128 outer source ports. compare holds the summaries of both
# together, copied to one machine: what was sent, what arrived, and who lost the rest.
#
# PORT is a PCI address that is bound to DPDK (docs/aws.md), with device arguments behind a comma, or a
# virtual device, such as net_af_packet0,iface=eth1, to try it without ENA. OWN-ADDRESS is that of the
# source's interface: AWS drops packets with another one. TARGET-MAC is the sink's interface's, or
# the router's if that is in another subnet.
#
#     --seconds N     end by itself after so long (default: sink never, source after 30 s)
#     --rate N        of the source: N packets a second, or with a unit, such as 2Mpps or 5Gbps
#                     (default: as fast as the port takes them)
#     --frames FILE   of the source: the frames to mirror, a pcap file (default: 60, 590 and 1,514
#                     bytes as 7 to 4 to 1, of 1,000 flows)
#     --workers N     of the sink: workers; 0, the default: lcores that receive do everything
#     --summary FILE  where the final ledger goes (default: build/bench/ena/sink.json, source.json)
#     --help          print this
#
# The first processor controls, all others work; `taskset` in front of it chooses which it may use.
# Without MIRRORSINK, MIRRORSOURCE and MIRRORCTL in the environment it builds them for this processor.
# Exit status: 0 if the ledger balances, 1 if not or something broke, 2 if the command line is wrong.
set -euo pipefail
here=$PWD
. "$(dirname "$0")/common.sh"

usage() {
	printf '%s: %s; --help tells more\n' "${0##*/}" "$*" >&2
	exit 2
}

# Paths are those of who calls, who need not stand in the project's root.
path() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$here/$1" ;;
	esac
}

# number NAME VALUE LEAST MOST
number() {
	if ! [[ $2 =~ ^[0-9]{1,6}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
		usage "$1 is a whole number from $3 to $4, not $2"
	fi
}

words=() more=() seconds='' rate='' frames='' workers=0 summary='' source_only='' sink_only=''
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		sed -n '4,/^set/{/^set/d; s/^# \{0,1\}//p;}' "scripts/${0##*/}"
		exit
		;;
	--seconds | --rate | --frames | --workers | --summary)
		[ $# -gt 1 ] || usage "$1 needs a value"
		case $1 in
		--seconds) number "$1" "$2" 1 99999 && seconds=$2 ;;
		--rate) rate=$2 source_only=$1 ;;
		--frames) frames=$(path "$2") source_only=$1 ;;
		--workers) number "$1" "$2" 0 32 && workers=$2 sink_only=$1 ;;
		--summary) summary=$(path "$2") ;;
		esac
		shift
		;;
	--)
		shift
		more=("$@") sink_only=--
		break
		;;
	-*) usage "$1 is no option" ;;
	*) words+=("$1") ;;
	esac
	shift
done
role=${words[0]:-}

# port ARGUMENT: sets eal and port, its name.
port() {
	local hex='[0-9a-fA-F]'
	if [[ $1 =~ ^($hex{4,8}:)?($hex{2}:$hex{2}\.[0-7])(,.*)?$ ]]; then
		eal=(--in-memory -a "$1")
		port=${BASH_REMATCH[1]:-0000:}${BASH_REMATCH[2]}
	elif [[ $1 == net_?* ]]; then
		eal=(--no-pci --no-huge --no-shconf -m 512 "--vdev=$1")
		port=${1%%,*}
	else
		usage "$1 is no PCI address, such as 0000:00:06.0, and no virtual device, such as net_tap0"
	fi
}

# lcores LIST LEAST: one on the first processor, which controls, the others on all that are left; at
# least so many of them.
lcores() {
	python3 - "$1" <<-'END'
		import os, sys
		cpus = sorted(os.sched_getaffinity(0))
		others = (cpus[1:] or cpus)[:127]
		others += others[-1:] * (int(sys.argv[1]) - len(others))
		print(f"0@{cpus[0]}", *(f"{i}@{cpu}" for i, cpu in enumerate(others, 1)), sep=",")
	END
}

programs() {
	if [ -z "${MIRRORSINK:-}" ] || [ -z "${MIRRORSOURCE:-}" ] || [ -z "${MIRRORCTL:-}" ]; then
		local build=build/bench/build
		scripts/setup.sh build
		configure "$build" -Dbuildtype=release -Doptimization=3 -Dtests=disabled \
			-Dmarch="${MARCH:-native}"
		quietly ninja -C "$build"
		MIRRORSINK=$build/app/mirrorsink/mirrorsink
		MIRRORSOURCE=$build/app/mirrorsource/mirrorsource
		MIRRORCTL=$build/app/mirrorctl/mirrorctl
	fi
	[ -n "$summary" ] || summary=build/bench/ena/$role.json
	mkdir -p "$(dirname "$summary")"
	rm -f "$summary"
	prefix=ms-ena-$$
}

# begin COMMAND...: in the background. Whoever ends us ends it, and we then still tell the result.
begin() {
	"$@" &
	pid=$!
	trap 'interrupted=1; kill -TERM "$pid" 2>/dev/null || true' INT TERM
}

# finish: waits for it, and sets status; a trap interrupts a wait.
finish() {
	while :; do
		interrupted='' status=0
		wait "$pid" || status=$?
		[ -n "$interrupted" ] || break
	done
}

case $role in
sink)
	[ -z "$source_only" ] || usage "$source_only is for the source"
	[ ${#words[@]} = 2 ] || usage "sink takes one PORT"
	port "${words[1]}"
	programs
	[ -z "$seconds" ] || more+=(-a "duration:$seconds")
	begin "$MIRRORSINK" "${eal[@]}" --file-prefix "$prefix" --lcores "$(lcores $((workers + 1)))" \
		-- -r "$port" -W "$workers" --summary "$summary" "${more[@]}" >"$summary.log"
	# In the background, too: a shell does not look at signals while something else runs.
	python3 scripts/bench/ena.py watch "$pid" "$MIRRORCTL" -f "$prefix" --json status &
	watcher=$!
	finish
	wait "$watcher"
	;;
source)
	[ -z "$sink_only" ] || usage "$sink_only is for the sink"
	[ ${#words[@]} = 4 ] || [ ${#words[@]} = 5 ] ||
		usage "source takes PORT OWN-ADDRESS TARGET-ADDRESS [TARGET-MAC]"
	port "${words[1]}"
	options=(--source-address "${words[2]}" --target-address "${words[3]}" --vni 64)
	[ -z "${words[4]:-}" ] || options+=(--target-mac "${words[4]}")
	# The trace's largest mirrored packets do not fit 1,500 bytes.
	[[ ${eal[*]} == *--vdev* ]] || options+=(--mtu 9001)
	if [ -n "$rate" ]; then
		options+=(--loop 0 --rate "$rate")
	else
		options+=(--as-fast)
	fi
	[ -z "$frames" ] || [ -r "$frames" ] || usage "$frames cannot be read"
	programs
	if [ -z "$frames" ]; then
		frames=build/bench/traces/inner-imix.pcap
		mkdir -p "${frames%/*}"
		python3 scripts/bench/traces.py "${frames%/*}"
	fi
	begin "$MIRRORSOURCE" "${eal[@]}" "--vdev=net_pcap0,rx_pcap=$frames" --file-prefix "$prefix" \
		--lcores "$(lcores 1)" -- -r net_pcap0 -t "$port" "${options[@]}" \
		-a "duration:${seconds:-30}" --summary "$summary" >"$summary.log"
	finish
	;;
compare)
	[ ${#words[@]} = 3 ] || usage "compare takes SINK-SUMMARY SOURCE-SUMMARY"
	exec python3 scripts/bench/ena.py compare "$(path "${words[1]}")" "$(path "${words[2]}")"
	;;
'') usage "say sink, source or compare" ;;
*) usage "$role is none of sink, source and compare" ;;
esac

[ ! -s "$summary" ] || python3 scripts/bench/ena.py "$role" "$summary"
echo "summary: $summary"
exit "$status"
