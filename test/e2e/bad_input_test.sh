#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     a wrong command line or configuration --> mirrorsink --> status 2, a message
#                                                   |
#                                                   +--x no file, and none touched
#
# Succeeds if for each row of the table
#  - mirrorsink ends with status 2, before it has received anything;
#  - standard error names what the row says: the file, its line, the key or option, the value;
#  - the outputs that stand beside what is wrong are not created, and a file that was there before
#    keeps its content.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cd "$work"
mkdir out dir
check in.pcap <<'END'
import sys
import judge
import packets

frame = packets.ether(bytes(46), 0x0806)
judge.write_pcap(sys.argv[1], [(i, packets.mirror(frame, 64)) for i in range(10)])
END
input=--vdev=net_pcap0,rx_pcap=in.pcap
write=(-w out/precious.pcapng --summary out/s.json)

# bad ROW PATTERN... -- [EAL arguments] -- [options]: a row of the table.
bad()
{
	refuse sink "$@"
}

# configuration FILE: standard input becomes a file that bad_config reads.
bad_config()
{
	local row=$1

	shift
	cat >c.json
	bad "$row" 'c\.json' "$@" -- "$input" -- "${write[@]}" -c c.json
}


# command lines
bad "unknown option" frobnicate -- "$input" -- "${write[@]}" --frobnicate
bad "argument of no option" leftover -- "$input" -- "${write[@]}" leftover
bad "option without its value" snaplen -- "$input" -- "${write[@]}" --outer --snaplen
bad "snaplen that is no number" snaplen sixty -- "$input" -- "${write[@]}" -s sixty
bad "snaplen below 1" snaplen -- "$input" -- "${write[@]}" -s 0
bad "snaplen with something behind" snaplen 64x -- "$input" -- "${write[@]}" -s 64x
bad "negative snaplen" "snaplen.*-5" -- "$input" -- "${write[@]}" -s -5
bad "workers that are no number" workers two -- "$input" -- "${write[@]}" -W two
bad "more workers than lcores" '(-W|workers|lcore)' -- "$input" -- "${write[@]}" -W 5
bad "no lcore left to receive" '(-W|workers|lcore)' -- "$input" -- "${write[@]}" -W 1
bad "port number above 65535" vxlan-port 70000 -- "$input" -- "${write[@]}" --vxlan-port 70000
bad "port number 0" vxlan-port -- "$input" -- "${write[@]}" --vxlan-port 0
bad "both ports the same" vxlan-port 6081 -- "$input" -- "${write[@]}" --vxlan-port 6081
bad "neither way to idle" "--idle.*'nap' is neither poll nor adaptive" -- "$input" -- "${write[@]}" --idle nap
bad "autostop of an unknown kind" autostop size:5 -- "$input" -- "${write[@]}" -a size:5
bad "autostop without number" autostop packets -- "$input" -- "${write[@]}" -a packets
bad "autostop of nothing" autostop idle -- "$input" -- "${write[@]}" -a idle:
bad "autostop that is no number" autostop "idle.*soon" -- "$input" -- "${write[@]}" -a idle:soon
bad "a file of no known format" out/x.txt -- "$input" -- "${write[@]}" -w out/x.txt
bad "one file twice" precious -- "$input" -- "${write[@]}" -w out/precious.pcapng
bad "no such mirror port" net_none7 -- "$input" -- "${write[@]}" -r net_none7
bad "no such port to forward to" net_none7 -- "$input" -- "${write[@]}" -f net_none7
bad "no such exception port" net_none7 -- "$input" -- "${write[@]}" -x net_none7
bad "mirror port that is an output" net_pcap0 -- "$input" -- "${write[@]}" -r net_pcap0 -f net_pcap0
bad "mirror port that is the exception port" net_pcap0 -- \
	"$input" -- "${write[@]}" -r net_pcap0 -x net_pcap0
bad "exception port twice" "'net_ring0' is an exception port already" -- \
	"$input" --vdev=net_ring0 -- "${write[@]}" -x net_ring0 -x net_ring0
bad "more exception ports than mirror ports" "'net_ring1' has no mirror port" -- \
	"$input" --vdev=net_ring0 --vdev=net_ring1 -- "${write[@]}" -x net_ring0 -x net_ring1
bad "output that is the exception port" net_ring0 -- \
	"$input" --vdev=net_ring0 -- "${write[@]}" -f net_ring0 -x net_ring0
bad "no mirror port at all" port -- -- "${write[@]}"
bad "a folder that is not there" out/none/x.pcapng -- "$input" -- "${write[@]}" -w out/none/x.pcapng
bad "a folder as the file" dir.pcap -- "$input" -- "${write[@]}" -w dir.pcap/
mkdir folder.pcapng
bad "a folder by the name of a file" folder.pcapng -- "$input" -- "${write[@]}" -w folder.pcapng
bad "a summary in no folder" none/s.json -- "$input" -- "${write[@]}" --summary none/s.json
saved=("${lcores[@]}")
lcores=(-l "${cpus[0]}")
bad "only a main lcore" lcore -- "$input" -- "${write[@]}"
lcores=("${saved[@]}")

# files
bad "no such configuration" missing.json 'No such file' -- "$input" -- "${write[@]}" -c missing.json
bad "a folder as configuration" dir -- "$input" -- "${write[@]}" -c dir
echo '{}' >good.json
bad "the second of two is missing" missing.json -- \
	"$input" -- "${write[@]}" -c good.json -c missing.json
: >empty.json
bad "an empty configuration" empty.json -- "$input" -- "${write[@]}" -c empty.json
printf '{"Outputs": [{"Name": "\xff\xfe"}]}' >latin.json
bad "not UTF-8" latin.json -- "$input" -- "${write[@]}" -c latin.json

# configurations
bad_config "cut off" ':[0-9]+:[0-9]+' <<<'{"Outputs": ['
bad_config "not JSON" 'c\.json:2:' <<<'{
 "Outputs" [] }'
bad_config "no object" 'c\.json' <<<'[1, 2]'
bad_config "unknown key" Outptus ':2:[0-9]+' <<<'{
 "Outptus": [] }'
bad_config "unknown key in an output" Colour 'Outputs' ':3:[0-9]+' <<<'{
 "Outputs": [{"Name": "a", "Type": "null",
  "Colour": "red"}] }'
bad_config "unknown key in a route" Priority 'Routes' <<<'{
 "Outputs": [{"Name": "a", "Type": "null"}],
 "Routes": [{"Outputs": ["a"], "Priority": 1}] }'
bad_config "output of an unknown type" tape 'Outputs\[0\]' <<<'{
 "Outputs": [{"Name": "a", "Type": "tape"}] }'
bad_config "output without a port" Port 'Outputs\[0\]' <<<'{
 "Outputs": [{"Name": "ids", "Type": "port"}] }'
bad_config "output with a port that is not there" net_none7 <<<'{
 "Outputs": [{"Name": "ids", "Type": "port", "Port": "net_none7"}] }'
bad_config "output without a path" Path 'Outputs\[0\]' <<<'{
 "Outputs": [{"Name": "a", "Type": "pcapng"}] }'
bad_config "output with a path in no folder" out/none/x.pcapng <<<'{
 "Outputs": [{"Name": "first", "Type": "pcapng", "Path": "out/first.pcapng"},
             {"Name": "second", "Type": "pcapng", "Path": "out/none/x.pcapng"}] }'
bad_config "two outputs of one name" twin 'Outputs' <<<'{
 "Outputs": [{"Name": "twin", "Type": "null"}, {"Name": "twin", "Type": "null"}] }'
bad_config "two outputs to one file" out/one.pcapng <<<'{
 "Outputs": [{"Name": "a", "Type": "pcapng", "Path": "out/one.pcapng"},
             {"Name": "b", "Type": "pcap", "Path": "out/one.pcapng"}] }'
bad_config "snaplen that is a string" Snaplen 'Outputs\[0\]' <<<'{
 "Outputs": [{"Name": "a", "Type": "pcap", "Path": "out/a.pcap", "Snaplen": "many"}] }'
bad_config "route to an output that is not there" nowhere 'Routes\[0\]' <<<'{
 "Outputs": [{"Name": "a", "Type": "null"}],
 "Routes": [{"Outputs": ["nowhere"]}] }'
bad_config "route with a filter that is not there" tmf-none 'Routes\[0\]' <<<'{
 "Outputs": [{"Name": "a", "Type": "null"}],
 "Routes": [{"FilterId": "tmf-none", "Outputs": ["a"]}] }'
bad_config "route with a VNI of 25 bits" 16777216 VirtualNetworkId <<<'{
 "Outputs": [{"Name": "a", "Type": "null"}],
 "Routes": [{"VirtualNetworkId": 16777216, "Outputs": ["a"]}] }'
bad_config "source check of an unknown kind" SourceCheck maybe <<<'{"SourceCheck": "maybe"}'
bad_config "unknown sessions, unknown word" UnknownSession keep <<<'{"UnknownSession": "keep"}'

session()
{
	printf '{"TrafficMirrorSessionId": "%s", "TrafficMirrorTargetId": "tmt-1", ' "$1"
	printf '"TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "%s", ' "$2"
	printf '"SessionNumber": %s, "VirtualNetworkId": %s}' "$3" "$4"
}
bad_config "route with a session that is not there" tms-none 'Routes\[0\]' <<<"{
 \"TrafficMirrorSessions\": [$(session tms-1 eni-1 1 77)],
 \"Outputs\": [{\"Name\": \"a\", \"Type\": \"null\"}],
 \"Routes\": [{\"SessionId\": \"tms-none\", \"Outputs\": [\"a\"]}] }"
bad_config "two sessions that collide" 77 'json:3:[0-9]+' 'json:4:[0-9]+' <<<"{
 \"TrafficMirrorSessions\": [
 $(session tms-one eni-1 1 77),
 $(session tms-two eni-1 2 77)]}"
bad_config "two sessions of one id" tms-same <<<"{\"TrafficMirrorSessions\": [
 $(session tms-same eni-1 1 77), $(session tms-same eni-1 2 78)]}"
bad_config "session with a VNI of 25 bits" VirtualNetworkId 16777216 <<<"{
 \"TrafficMirrorSessions\": [$(session tms-1 eni-1 1 16777216)]}"
bad_config "session number 0" SessionNumber <<<"{
 \"TrafficMirrorSessions\": [$(session tms-1 eni-1 0 5)]}"

rule()
{
	printf '{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "EgressFilterRules": [],\n'
	printf ' "IngressFilterRules": [{"TrafficDirection": "ingress", "RuleNumber": %s,\n' "$1"
	printf ' "RuleAction": "%s"%s}]}]}' "$2" "${3:+, $3}"
}
bad_config "rule of mixed families" families 'IngressFilterRules\[0\]' <<<"$(rule 1 accept \
	'"SourceCidrBlock": "10.0.0.0/8", "DestinationCidrBlock": "2001:db8::/32"')"
bad_config "rule number 0" RuleNumber <<<"$(rule 0 accept)"
bad_config "rule number above 32766" RuleNumber 32767 <<<"$(rule 32767 accept)"
bad_config "rule that does neither" RuleAction drop <<<"$(rule 1 drop)"
bad_config "prefix of 33 bits" SourceCidrBlock 10.0.0.0/33 <<<"$(rule 1 accept \
	'"SourceCidrBlock": "10.0.0.0/33"')"
bad_config "address that is none" DestinationCidrBlock 10.0.0.256/32 <<<"$(rule 1 accept \
	'"DestinationCidrBlock": "10.0.0.256/32"')"
bad_config "ports the wrong way round" PortRange 90 80 <<<"$(rule 1 accept \
	'"Protocol": 6, "DestinationPortRange": {"FromPort": 90, "ToPort": 80}')"
bad_config "port above 65535" ToPort 65536 <<<"$(rule 1 accept \
	'"Protocol": 6, "SourcePortRange": {"FromPort": 90, "ToPort": 65536}')"
bad_config "protocol above 255" Protocol 256 <<<"$(rule 1 accept '"Protocol": 256')"
bad_config "two rules of one number" RuleNumber 5 <<<"$(rule 5 accept "\"Protocol\": 6}, {
 \"TrafficDirection\": \"ingress\", \"RuleNumber\": 5, \"RuleAction\": \"reject\"")"

refused_all
