#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Holds *_burst.c and *_lookup.h to the rule for hot code: no system call, log, allocation, lock,
# variable-length array or division. scripts/check-hotpath.sh BUILD-DIRECTORY [SOURCE...]
#
# Looks at it twice. In the source, for names of functions that do such things and for division by
# what is no constant. In the objects of an optimised build, where inlining has shown what DPDK's
# headers bring along: which symbols they need from elsewhere, division instructions, and stack
# that grows by a register. A symbol is in order if another hot object defines it, or if
# scripts/hotpath.allow says why; an entry for one file that it does not need is an error too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

[ $# -ge 1 ] || die "usage: scripts/check-hotpath.sh BUILD-DIRECTORY [SOURCE...]"
build=$1
shift
if [ $# -gt 0 ]; then
	sources=("$@")
	partial=yes
else
	mapfile -t sources < <(find lib app \( -name '*_burst.c' -o -name '*_lookup.h' \) | sort)
	partial=
fi
[ ${#sources[@]} -gt 0 ] || die "there is no hot code"

allow=scripts/hotpath.allow
used=$(mktemp)
trap 'rm -f "$used"' EXIT
found=0

# allowed FILE WHAT: has the list an entry for it? Remembers that it was needed.
allowed() {
	local where what reason
	while read -r where what reason; do
		# shellcheck disable=SC2053 # patterns, on purpose
		if [[ $1 == $where && $2 == $what && -n $reason ]]; then
			echo "$where $what" >>"$used"
			return 0
		fi
	done < <(grep -v '^#' "$allow")
	return 1
}

report() { # FILE WHAT MESSAGE
	if ! allowed "$1" "$2"; then
		echo "$1: $3"
		found=$((found + 1))
	fi
}

# Functions that allocate, log, lock, sleep, ask the kernel, or end the program.
names='(m|c|re|rte_(z?m|c|re)|aligned_)alloc(_[a-z]+)?|(rte_)?free|posix_memalign|alloca|str[n]?dup'
names+='|v?a?s?n?(f|d)?printf|f?put[sc]|perror|v?syslog|rte_v?log|RTE_(ETHDEV_|LCORE_)?LOG[A-Z_]*'
names+='|p?(read|write|send|recv)v?[24]?|send(to|m?msg)|recv(from|m?msg)|open(at)?|close|ioctl|poll'
names+='|mmap|munmap|syscall|clock_gettime|gettimeofday|time|(u|nano)?sleep|sched_yield|rte_delay_[a-z_]+'
names+='|pthread_[a-z_]+|mtx_[a-z]+|sem_[a-z]+|rte_(spin|rw|pf|ticket|mcs|seq)lock_[a-z_]+'
names+='|rte_mempool_create[a-z_]*|rte_pktmbuf_pool_create|abort|exit|rte_(panic|exit)'

for source in "${sources[@]}"; do
	# The preprocessor takes the comments away and keeps the line numbers; strings and includes
	# are blanked here.
	while IFS=: read -r line word; do
		report "$source" "${word%%[ (]*}" "line $line: calls ${word%%[ (]*}()"
	done < <(gcc -w -fpreprocessed -dD -E -x c "$source" | grep -v '^# ' |
		sed -E 's/"([^"\\]|\\.)*"/""/g' | grep -noE "\b($names) ?\(" || true)
	while IFS=: read -r line rest; do
		report "$source" division "line $line: divides: $rest"
	done < <(gcc -w -fpreprocessed -dD -E -x c "$source" | grep -v '^# ' |
		sed -E 's/"([^"\\]|\\.)*"/""/g; s/^[ \t]*#[ \t]*include.*//' |
		grep -nE '[/%]=? *(\(|[a-z_]*[a-z][A-Za-z0-9_]*\b)' | grep -vE '[/%]=? *sizeof' || true)
done

objects=()
declare -A object_of
for source in "${sources[@]}"; do
	[[ $source == *_burst.c ]] || continue
	# Meson names an object after its source: lib_x.a.p/x_burst.c.o, or with the folder in front.
	object=$(find "$build" -name "*${source##*/}.o" -path "*.p/*" | head -n 1)
	if [ -z "$object" ]; then
		echo "$source: is built into nothing"
		found=$((found + 1))
		continue
	fi
	objects+=("$object")
	object_of[$source]=$object
done

defined=" "
if [ ${#objects[@]} -gt 0 ]; then
	defined=" $(nm -A --defined-only "${objects[@]}" | awk '{print $NF}' | sort -u | tr '\n' ' ')"
fi
for source in "${!object_of[@]}"; do
	object=${object_of[$source]}
	while read -r symbol; do
		if [[ $defined != *" $symbol "* ]]; then
			report "$source" "$symbol" "needs $symbol"
		fi
	done < <(nm -u "$object" | awk '{print $NF}')
	while read -r function instruction; do
		report "$source" "$instruction:$function" "$instruction in $function()"
	done < <(objdump -d --no-show-raw-insn "$object" | awk '
		/^[0-9a-f]+ <.*>:$/ { function_name = substr($2, 2, length($2) - 3) }
		/^ / && $2 ~ /^(v?i?div[a-z0-9]*|[us]div|fdiv)$/ { print function_name, "division" }
		/^ / && $2 == "syscall" { print function_name, "syscall" }
		/^ / && $2 ~ /^subq?$/ && $3 ~ /^%r[a-z0-9]+,%rsp$/ { print function_name, "stack" }
	' | sort -u)
done

if [ -z "$partial" ]; then
	while read -r where what reason; do
		if [ -z "$reason" ]; then
			echo "$allow: $where $what: gives no reason"
			found=$((found + 1))
		elif [ "$where" != '*' ] && ! grep -qxF "$where $what" "$used"; then
			echo "$allow: $where $what: nothing needs it"
			found=$((found + 1))
		fi
	done < <(grep -vE '^(#|$)' "$allow")
fi

echo "${#sources[@]} hot files, $found findings"
[ "$found" = 0 ]
