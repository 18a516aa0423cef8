#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs the Debian packages that a purpose needs: scripts/setup.sh [build|demo|test|bench|ci]
#
# The only place where packages are listed. It asks dpkg first: when all is there it needs neither
# network nor root, so every script can call it every time.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# libdpdk-dev brings every driver along (librte-net-*), and meson brings ninja and python3.
build=(gcc libc6-dev meson pkg-config libdpdk-dev libbsd-dev libjansson-dev libmicrohttpd-dev
	libmnl-dev libpcap-dev libssl-dev liburing-dev libzstd-dev liblz4-dev)

# The demo makes its own frames, in python3 alone.
demo=("${build[@]}" python3)

# Network namespaces and tools that look at the results from outside; dpdk-dev has the telemetry
# client, python3-botocore the EC2 API's model, against which our reader of AWS documents is held,
# suricata is the IDS that the sink feeds, and openssl makes the certificate that it sees.
test=("${build[@]}" libcmocka-dev libfuse3-dev fuse3 e2fsprogs dpdk-dev iproute2 ethtool
	iputils-ping procps tcpdump tshark jq python3-scapy python3-botocore suricata openssl zstd
	lz4)

# dpdk-dev has testpmd and dumpcap, wireshark-common counts what they wrote, util-linux has taskset.
bench=("${build[@]}" coreutils dpdk-dev wireshark-common mount util-linux iproute2 tcpdump suricata)

# libclang-rt-14-dev: the sanitizers' run-time; binutils: nm and objdump for the hot path's check.
ci=("${test[@]}" "${bench[@]}" clang clang-format clang-tidy libclang-rt-14-dev binutils
	shellcheck codespell mandoc groff-base git debootstrap)

purpose=${1:-build}
case $purpose in
build) wanted=("${build[@]}") ;;
demo) wanted=("${demo[@]}") ;;
bench) wanted=("${bench[@]}") ;;
test) wanted=("${test[@]}") ;;
ci) wanted=("${ci[@]}") ;;
*) die "usage: scripts/setup.sh [build|demo|test|bench|ci]" ;;
esac

missing=()
for package in "${wanted[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || die "needs root or sudo to install: ${missing[*]}"
	sudo=(sudo)
fi
# A machine that has just started is often still busy with upgrades of its own: wait for the lock.
apt() {
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# A third party's repository that does not answer must not stop us: whether the packages can be
# had is for the installation to say.
update() {
	apt update >/dev/null 2>&1 || echo "setup.sh: apt-get update had errors; going on" >&2
}

# Debian 12 has suricata in its backports alone, which few machines know. They stand beside the
# release: the mirror is the one that apt has the release from, and the keys are those it trusts. Of
# all that is newer there only suricata and its parser of HTTP are taken, whatever is installed.
add_backports() {
	local codename mirror suite
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(SITE)' \
		'Created-By: Packages' 'Origin: Debian' |
		awk -v release="$codename" '$1 == release && $2 == "main" && !n++ {print $3}')
	[ -n "$mirror" ] || die "suricata is in Debian's backports, but apt knows no mirror of Debian"
	suite=$codename-backports
	say "Adding $suite, for suricata"
	"${sudo[@]}" tee /etc/apt/preferences.d/mirrorsink-backports >/dev/null <<-END
		Package: *
		Pin: release n=$suite
		Pin-Priority: 100

		Package: suricata libhtp2
		Pin: release n=$suite
		Pin-Priority: 500
	END
	"${sudo[@]}" tee /etc/apt/sources.list.d/mirrorsink-backports.list >/dev/null \
		<<<"deb $mirror $suite main"
	update
}

say "Installing ${missing[*]}"
update
if [[ " ${missing[*]} " == *" suricata "* ]]; then
	# Its package starts it as a service, on eth0. It is wanted for tests alone, which start their own.
	unit=/etc/systemd/system/suricata.service
	if [ -d "${unit%/*}" ] && [ ! -e "$unit" ]; then
		echo "suricata.service is masked; to use it: systemctl unmask suricata.service"
		"${sudo[@]}" ln -s /dev/null "$unit"
	fi
	apt install --simulate suricata >/dev/null 2>&1 || add_backports
fi
quietly apt install -y --no-install-recommends "${missing[@]}"
