#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Gives the kernel's interface behind an exception port (mirrorsink -x) the target's addresses, so
# that the kernel answers ARP, pings and health checks in the target's name, out of the mirror port.
#
# What the kernel says from these addresses goes out of this interface whatever the main routing
# table holds: a table of its own, which rules by source address lead to. Run it again as often as
# you like, and after each start of mirrorsink: a tap is made anew then.
set -euo pipefail

usage() {
	cat <<'END'
usage: exception-port.sh [options] INTERFACE ADDRESS/LENGTH...
       exception-port.sh --remove [--table N] INTERFACE

Sets the addresses of a mirror target (IPv4, IPv6) on the interface behind its exception port.
Addresses that it has already stay.

    mirrorsink ... --vdev=net_tap0,iface=eni0 -- -x net_tap0 ... &
    exception-port.sh --wait 10 --gateway 10.0.8.1 eni0 10.0.8.10/24

  --gateway ADDRESS  router for what is not on the link, such as a load balancer in another
                     subnet; one for each family. On AWS the first address of the subnet
  --mac ADDRESS      MAC address (mirrorsink has set the mirror port's already)
  --mtu BYTES        MTU
  --table N          routing table to use (default 4789); each exception port needs its own
  --wait SECONDS     wait so long for the interface to appear
  --remove           take the addresses, the rules and the table away; the interface may be gone
  -h, --help         print this

Exit status: 0, 1 if the kernel refuses something, 2 if the command line is wrong.
END
}

wrong() {
	echo "exception-port.sh: $*" >&2
	exit 2
}

fail() {
	echo "exception-port.sh: $*" >&2
	exit 1
}

family() { # of an address: -4 or -6
	if [[ $1 == *:* ]]; then
		echo -6
	else
		echo -4
	fi
}

exists() {
	ip link show dev "$interface" >/dev/null 2>&1
}

# Rules into the table, and what is in it. A rule is taken away as often as it is there.
clear_table() {
	local way
	for way in -4 -6; do
		while ip "$way" rule del table "$table" 2>/dev/null; do :; done
		ip "$way" route flush table "$table" 2>/dev/null || true
	done
}

# The network that ADDRESS/LENGTH is in.
network_of() {
	python3 -c 'import ipaddress, sys
print(ipaddress.ip_interface(sys.argv[1]).network)' "$1"
}

check_address() { # OPTION ADDRESS PYTHON-FUNCTION
	python3 -c 'import ipaddress, sys
getattr(ipaddress, sys.argv[2])(sys.argv[1])' "$2" "$3" 2>/dev/null ||
		wrong "$1: '$2' is no address of this form"
}

check_number() { # OPTION VALUE MIN MAX
	if [[ ! $2 =~ ^[0-9]{1,10}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
		wrong "$1: '$2' is no number from $3 to $4"
	fi
}

gateways=() mac='' mtu='' table=4789 patience=0 remove=
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--remove)
		remove=yes
		shift
		continue
		;;
	--gateway | --mac | --mtu | --table | --wait)
		[ $# -ge 2 ] || wrong "$1 needs a value; see --help"
		;;
	-*) wrong "there is no option $1; see --help" ;;
	*) break ;;
	esac
	case $1 in
	--gateway)
		check_address --gateway "$2" ip_address
		gateways+=("$2")
		;;
	--mac)
		[[ $2 =~ ^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$ ]] ||
			wrong "--mac: '$2' is no MAC address"
		mac=$2
		;;
	--mtu)
		check_number --mtu "$2" 68 65535
		mtu=$2
		;;
	--table)
		check_number --table "$2" 1 4294967295
		table=$2
		;;
	--wait)
		check_number --wait "$2" 0 86400
		patience=$2
		;;
	esac
	shift 2
done
[ $# -ge 1 ] || wrong "which interface? see --help"
interface=$1
shift
if [ -n "$remove" ]; then
	[ $# = 0 ] || wrong "--remove takes all addresses away: name none"
elif [ $# = 0 ]; then
	wrong "which address? give ADDRESS/LENGTH, such as 10.0.8.10/24"
fi
for address; do
	[[ $address == */* ]] || wrong "'$address' has no length: write $address/24 or the like"
	check_address address "$address" ip_interface
done
[[ " 253 254 255 " != *" $table "* ]] || wrong "--table: $table is the system's; take another"

if [ -n "$remove" ]; then
	clear_table
	if exists; then
		ip address flush dev "$interface" || fail "cannot take the addresses of $interface away"
	fi
	exit 0
fi

until exists; do
	((SECONDS < patience)) || fail "there is no interface $interface: has mirrorsink started," \
		"with --vdev=net_tap0,iface=$interface and -x net_tap0?"
	sleep 0.1
done

trap 'fail "the kernel refuses it: $BASH_COMMAND"' ERR
if [ -n "$mac" ]; then
	ip link set dev "$interface" address "$mac"
fi
if [ -n "$mtu" ]; then
	ip link set dev "$interface" mtu "$mtu"
fi
# ARP for the addresses of this interface only, and in their name: another interface of the
# machine may be in the same subnet.
settings=/proc/sys/net/ipv4/conf/$interface
echo 1 >"$settings/arp_ignore"
echo 2 >"$settings/arp_announce"
ip link set dev "$interface" up

clear_table
for address; do
	way=$(family "$address")
	nodad=()
	# The address is this target's by assignment; without nodad it would be of no use for a second.
	[ "$way" = -4 ] || nodad=(nodad)
	ip "$way" address replace "$address" dev "$interface" "${nodad[@]}"
	ip "$way" route replace "$(network_of "$address")" dev "$interface" table "$table"
	ip "$way" rule add from "${address%/*}" table "$table"
done
for gateway in "${gateways[@]}"; do
	ip "$(family "$gateway")" route replace default via "$gateway" dev "$interface" \
		table "$table" || fail "gateway $gateway: is it in the network of one of the addresses?"
done
