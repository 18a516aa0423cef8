# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests with an IDS share: Suricata on taps, or on a file, with one configuration and one
# set of rules, so that the two differ in nothing but where frames come from. Sourced by a test
# instead of lib.sh, which it brings along.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_root
need_command suricata tcpdump openssl

# ids_original: $work/in.pcap, the frames to mirror, see conversations.py; sets frames, how many.
ids_original()
{
	local taken

	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/O=Example/CN=tls.example.org' \
		-keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
	taken=$("$python" "$here/conversations.py" "$work/in.pcap" "$work/certificate.pem" \
		"$work/key.pem" "$captures"/inner/*)
	((taken >= 40)) || fail "only $taken captures were taken"
	frames=$(tcpdump -r "$work/in.pcap" --count 2>/dev/null | cut -d ' ' -f 1)
	echo "$taken captures, $frames frames"
}

# ids_feed: mirrors them from a0, so slowly that nothing is lost on a busy machine.
ids_feed()
{
	local in_space=(ip netns exec "$space_a")

	use_other_lcores
	source_run source --vdev=net_af_packet0,iface=a0 "--vdev=net_pcap0,rx_pcap=$work/in.pcap" -- \
		-t net_af_packet0 --mtu 1600 --rate 2000pps --summary "$work/source.json"
	use_lcores 2
	assert_equal "$(judge get "$work/source.json" balanced)" true "the source's ledger balances"
	assert_equal "$(judge get "$work/source.json" sent.packets)" "$frames" "packets sent"
}

# ids_config TAP...: $work/suricata.yaml and $work/ids.rules. One thread a tap. No flow times out,
# since a file is read faster than its frames came, so all end when Suricata does. Rings and
# memory are such that nothing is lost to a busy machine.
ids_config()
{
	local tap cluster=0

	cat >"$work/ids.rules" <<-'RULES'
		alert dns any any -> any any (msg:"name"; dns.query; content:"example"; sid:1;)
		alert dns any any -> any any (msg:"host 1x"; dns.query; content:"host1"; sid:2;)
		alert http any any -> any any (msg:"path"; http.uri; content:"q=evil"; sid:3;)
		alert http any any -> any any (msg:"post"; http.method; content:"POST"; sid:4;)
		alert http any any -> any any (msg:"404"; http.stat_code; content:"404"; sid:5;)
		alert http any any -> any any (msg:"page"; file.data; content:"page 2 of"; sid:6;)
		alert tls any any -> any any (msg:"sni"; tls.sni; content:"example"; sid:7;)
		alert tls any any -> any any (msg:"who"; tls.cert_subject; content:"O=Example"; sid:8;)
		alert icmp any any -> any any (msg:"echo"; itype:8; sid:9;)
		alert icmp any any -> any any (msg:"echo, 6"; itype:128; sid:10;)
		alert tcp any any -> any any (msg:"begin"; flags:S; sid:11;)
		alert udp any any -> any any (msg:"small"; dsize:<20; sid:12;)
		alert ip any any -> any any (msg:"tunnel"; ip_proto:47; sid:13;)
		alert tcp any any -> any any (msg:"ones"; flow:to_client; content:"|ff ff ff ff|"; sid:14;)
		alert udp any any -> any any (msg:"data"; content:"data 9"; sid:15;)
		alert udp any any -> any 9 (msg:"sentinel"; content:"mirrorsink|3a| the end"; sid:99;)
	RULES
	cat >"$work/suricata.yaml" <<-YAML
		%YAML 1.1
		---
		stats: {enabled: no}
		unix-command: {enabled: no}
		outputs:
		  - eve-log:
		      enabled: yes
		      filetype: regular
		      filename: eve.json
		      types: [alert, flow, dns, http, tls]
		logging:
		  default-log-level: perf
		  outputs:
		    - console: {enabled: yes}
		vlan: {use-for-tracking: yes}
		livedev: {use-for-tracking: yes}
		flow: {memcap: 256mb}
		flow-timeouts:
		  default: &never {new: 3600, established: 3600, closed: 3600, bypassed: 3600}
		  tcp: *never
		  udp: *never
		  icmp: *never
		stream: {memcap: 256mb, midstream: yes, reassembly: {memcap: 256mb, depth: 0}}
		defrag: {timeout: 3600}
		app-layer:
		  protocols:
		    http: {enabled: yes}
		    tls: {enabled: yes}
		    dns: {udp: {enabled: yes}, tcp: {enabled: yes}}
		af-packet:
	YAML
	for tap in "$@"; do
		cluster=$((cluster + 1))
		cat >>"$work/suricata.yaml" <<-YAML
			  - interface: $tap
			    threads: 1
			    cluster-id: $cluster
			    cluster-type: cluster_qm
			    defrag: no
			    tpacket-v3: yes
			    ring-size: 32768
			    block-size: 1048576
		YAML
	done
}

# ids_read RUN FILE: what Suricata makes of a capture, into $work/RUN/eve.json.
ids_read()
{
	mkdir "$work/$1"
	timeout -k 5 60 suricata -c "$work/suricata.yaml" -S "$work/ids.rules" -k none -l "$work/$1" \
		--runmode single -r "$2" >"$work/$1.err" 2>&1
	ids_no_trouble "$1"
}

# ids_start RUN: Suricata on the taps, in in_space; sets pid. Returns when it listens.
ids_start()
{
	mkdir "$work/$1"
	"${in_space[@]}" suricata -c "$work/suricata.yaml" -S "$work/ids.rules" -k none \
		-l "$work/$1" --runmode workers --af-packet >"$work/$1.err" 2>&1 &
	pid=$!
	started+=("$pid")
	wait_for 30 ids_says "$1" 'Engine started' || fail "Suricata does not start"
}

ids_says()
{
	grep -qs "$2" "$work/$1.err"
}

# A rule or a setting that it does not understand would make two runs agree on less.
ids_no_trouble()
{
	! grep -E '(Warning|Error): ' "$work/$1.err" || fail "$1: Suricata complains"
}

# ids_alerts RUN RULE N: whether Suricata has alerted so often by this rule so far.
ids_alerts()
{
	(($(grep -cs "\"signature_id\":$2," "$work/$1/eve.json") >= $3))
}

# ids_stop RUN PID: ends it; no tap may have lost a frame in the kernel.
ids_stop()
{
	stop "$2" INT || fail "Suricata ends with status $?"
	ids_no_trouble "$1"
	grep -q 'packets: .*drops: ' "$work/$1.err" || fail "$1: Suricata does not say what it lost"
	! grep 'drops: [1-9]' "$work/$1.err" || fail "$1: the kernel dropped frames for Suricata"
}

# tap_start RUN TAP: tcpdump on the tap, into $work/RUN.pcap; sets pid. A second witness.
tap_start()
{
	"${in_space[@]}" tcpdump -i "$2" -s 0 -B 65536 -U -w "$work/$1.pcap" 2>"$work/$1.err" &
	pid=$!
	started+=("$pid")
	wait_for 20 ids_says "$1" 'listening on' || fail "tcpdump does not start"
}

# tap_stop RUN PID
tap_stop()
{
	stop "$2" INT || fail "tcpdump ends with status $?"
	ids_says "$1" '^0 packets dropped by kernel' || fail "$1: tcpdump lost frames"
}
