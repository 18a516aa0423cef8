#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     random AWS documents --+--------------+----------------------+
#                            |              |                      |
#     all frames of inner/ --|-> mirrorsource -> mirrored.pcap -> mirrorsink -> up to 6 outputs
#     and 1,000 of our own   |              |                      |
#                            +--> references of both, in Python: what should have happened
#
# Each configuration has new filters, interfaces, sessions, targets and networks, made from what is
# in the frames (aws_documents.py), and new options; the sink has most of the same documents, and
# outputs and routes. Two configurations run at a time.
#
# Succeeds if in every configuration
#  - every frame is mirrored by exactly those sessions that source_reference.py names, in order,
#    byte for byte but for what a hash decides, and that is the same for all packets of a flow;
#  - every output has exactly the frames that reference.py selects, with the session's name,
#    direction and original length;
#  - all fates, counts of sessions and hits of rules are theirs, at both ends;
#  - both programs end with status 0, and all ledgers balance;
# and if a rule that is turned round behind the references' backs is noticed, at either end.
#
# CONFIGS=N   how many configurations (200), after the first FIRST (0)
# SEED=N      another seed gives other configurations and frames
set -euo pipefail
. "$(dirname "$0")/lib.sh"

count=${CONFIGS:-200} first=${FIRST:-0}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "seed $seed"

inner=()
[[ -d $captures/inner ]] && inner=("$captures"/inner/*)
"$python" "$here/agreement.py" make "$work" "$seed" "${inner[@]}"

# lane N VERB NUMBERS: configurations, in a folder of this lane.
lane()
{
	local source

	mkdir -p "$work/lane$1"
	# the rx lcore of one lane beside the main lcore, which sleeps, of the other
	lcores=(--lcores "0@${cpus[$1]:-${cpus[0]}},1@${cpus[1 - $1]:-${cpus[0]}}")
	program_line "$MIRRORSOURCE" "source$1"
	source=("${line[@]}")
	program_line "$MIRRORSINK" "sink$1"
	"$python" "$here/agreement.py" "$2" "$work" "$work/lane$1" "$seed" "$3" \
		-- "${source[@]}" -- "${line[@]}"
}

# both VERB COUNT: the two lanes, every second configuration each.
both()
{
	local end=$((first + $2)) lane pids=() status=0

	for lane in 0 1; do
		lane "$lane" "$1" $((first + lane)):$end:2 &
		pids+=($!)
	done
	started+=("${pids[@]}")
	for lane in 0 1; do
		wait "${pids[lane]}" || status=1
	done
	if ((status != 0)); then
		KEEP=1
		fail "seed $seed: see above; its files are in $work/lane0 and lane1"
	fi
}

both run "$count"
# some configurations have no rule that matters: until one has, at most so many
both spoil 40
