#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Does scripts/demo.sh hold what it promises? Makes a minimal Debian 12 in a temporary folder, from
# the mirror and with the settings that this machine's apt has, clones what is committed into it, and
# runs the demo there: nothing is installed that setup.sh does not install. Needs root.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ "$(id -u)" = 0 ] || die "needs root, for debootstrap and chroot"
if [ -n "$(git status --porcelain)" ]; then
	echo "changes that are not committed are not looked at:"
	git status --short
fi

# Where apt gets Debian from: lines of `URL SUITE COMPONENT`. Known only once apt has its lists. Not
# the backports, which setup.sh adds for tests.
targets() {
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' |
		awk '$2 ~ /^bookworm(-updates|-security)?$/' | sort -u
}
sources=$(targets)
if [ -z "$sources" ]; then
	apt-get update >/dev/null 2>&1 || true
	sources=$(targets)
fi
mirror=$(awk '$2 == "bookworm" && $3 == "main" {print $1; exit}' <<<"$sources")
[ -n "$mirror" ] || die "apt knows no mirror of Debian 12 (bookworm)"

root=$(mktemp -d)
# Mounts are made in a mount namespace of its own below, and so are gone whatever happens.
trap 'rm -rf --one-file-system "$root"' EXIT

say "Debian 12, minimal"
quietly debootstrap --variant=minbase bookworm "$root" "$mirror"
while read -r url suite component; do
	echo "deb $url $suite $component"
done <<<"$sources" >"$root/etc/apt/sources.list"
# Proxies, certificates, whether dates are checked: what apt is told here it is told there.
apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' \
	>"$root/etc/apt/apt.conf.d/90host" || true
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
if grep -q '^https' <<<"$sources"; then
	mkdir -p "$root/etc/ssl"
	cp -aL /etc/ssl/certs "$root/etc/ssl/"
fi
proxies=()
for name in http_proxy https_proxy no_proxy; do
	if [ -n "${!name:-}" ]; then
		proxies+=("$name=${!name}")
	fi
done

say "scripts/demo.sh in it"
git clone --quiet --no-hardlinks . "$root/srv/mirrorsink"
# In a process namespace, too: nothing that the demo starts outlives it.
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount --propagation private --pid --fork --kill-child sh -euc '
	root=$1
	shift
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" \
		bash -c "exec /srv/mirrorsink/scripts/demo.sh"
' sh "$root" ${proxies[@]+"${proxies[@]}"} </dev/null

demo=$root/srv/mirrorsink/build/demo
[ -s "$demo/demo.pcapng" ] || die "the demo left no demo.pcapng"
jq -e '.balanced' "$demo/demo.json" >/dev/null || die "the demo's ledger does not balance"
frames=$(tshark -r "$demo/demo.pcapng" -T fields -e frame.number 2>/dev/null | wc -l)
delivered=$(jq '.fates.delivered' "$demo/demo.json")
if [ "$frames" = 0 ] || [ "$frames" != "$delivered" ]; then
	die "the ledger says $delivered frames were delivered, demo.pcapng has $frames"
fi
echo "a fresh machine comes to a balanced ledger and $frames frames"
