#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     100,000 sessions, 10,000 filters of 10 rules, 100,000 interfaces, 200 VPCs
#         |
#     --check; --explain; net_pcap0 --> mirrorsink, 8,000 packets of 2,000 sessions and of strangers,
#     once, and without end through two reloads
#
# VNIs lie anywhere in 24 bits, and every tenth session shares one with nine others.
#
# Succeeds if
#  - --check takes all of it, and 10,000 sessions with 10,000 filters take no more than 64 MiB;
#  - every packet is decided as reference.py says: fates, packets of each session by direction, hits of
#    each rule, and packet by packet in what --explain tells;
#  - while the same packets come without end, two reloads change no decision and lose nothing: what has
#    been received at the end has exactly the fates of so many rounds;
#  - no step takes two minutes. SESSIONS=1000 makes it small.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seed=${SEED:-5}
sessions=${SESSIONS:-100000}
limit=120
filters=$((sessions / 10))
echo "seed $seed, $sessions sessions, $filters filters"

cat >"$work/make.py" <<'END'
import json
import os
import random
import sys
import judge
import packets as p

folder, seed, sessions_n, filters_n, packets_n = sys.argv[1], *map(int, sys.argv[2:])
chance = random.Random(seed)
VPCS = 200


def block():
    if chance.random() < 0.3:
        return f"2001:db8:{chance.randrange(16):x}::/48"
    return f"10.{chance.randrange(4)}.{chance.randrange(4)}.0/24"


def rule(direction, number):
    one = {"TrafficDirection": direction, "RuleNumber": number,
           "RuleAction": chance.choice(("accept", "accept", "reject"))}
    if chance.random() < 0.8:
        one["Protocol"] = chance.choice((6, 17))
        if chance.random() < 0.7:
            low = chance.choice((22, 53, 80, 443, 1024, 8000))
            one[chance.choice(("SourcePortRange", "DestinationPortRange"))] = {
                "FromPort": low, "ToPort": low + chance.choice((0, 10, 1000))}
    if chance.random() < 0.6:
        one[chance.choice(("SourceCidrBlock", "DestinationCidrBlock"))] = block()
    return one


def mirror_filter(index):
    numbers = chance.sample(range(1, 1000), 10)
    return {"TrafficMirrorFilterId": f"tmf-{index:017x}",
            "IngressFilterRules": [rule("ingress", n) for n in numbers[:5]],
            "EgressFilterRules": [rule("egress", n) for n in numbers[5:]],
            "NetworkServices": ["amazon-dns"] if index % 5 == 0 else []}


def address(index):
    return f"10.{100 + (index >> 16)}.{index >> 8 & 255}.{index & 255}"


def mac(index):
    return "02:00:" + ":".join(f"{index >> shift & 255:02x}" for shift in (24, 16, 8, 0))


vnis = chance.sample(range(1 << 24), sessions_n)
shared = [vnis[i] if i % 10 else vnis[i // 100 * 100] for i in range(sessions_n)]
documents = {
    "filters": {"TrafficMirrorFilters": [mirror_filter(i) for i in range(filters_n)]},
    "sessions": {"TrafficMirrorSessions": [
        {"TrafficMirrorSessionId": f"tms-{i:017x}", "NetworkInterfaceId": f"eni-{i:017x}",
         "TrafficMirrorFilterId": f"tmf-{chance.randrange(filters_n):017x}", "SessionNumber": 1,
         "VirtualNetworkId": shared[i]} for i in range(sessions_n)]},
    "interfaces": {
        "NetworkInterfaces": [
            {"NetworkInterfaceId": f"eni-{i:017x}", "MacAddress": mac(i),
             "PrivateIpAddress": address(i), "VpcId": f"vpc-{i % VPCS}"} for i in range(sessions_n)],
        "Vpcs": [{"VpcId": f"vpc-{i}", "CidrBlock": f"10.{i}.0.0/16"} for i in range(VPCS)]},
    "outputs": {"Outputs": [{"Name": "count", "Type": "null"}]}}
os.makedirs(folder, exist_ok=True)
for name, document in documents.items():
    with open(f"{folder}/{name}.json", "w", encoding="utf-8") as file:
        json.dump(document, file, separators=(",", ":"))


def packet(i):
    """A mirrored packet of session i, or of somebody who is near to it."""
    hosts = chance.choice(((f"10.{chance.randrange(4)}.{chance.randrange(4)}.1", address(i)),
                           (f"2001:db8:{chance.randrange(16):x}::1", "2001:db8:ffff::1")))
    ports = chance.choice((22, 53, 80, 443, 1030, 8000)), chance.choice((53, 85, 443, 40000))
    macs = ["02:ff:00:00:00:99", mac(i) if chance.random() < 0.9 else "02:ff:00:00:00:98"]
    if chance.random() < 0.5:
        hosts, ports, macs = hosts[::-1], ports[::-1], macs[::-1]
    body = p.tcp(bytes(8), *ports) if chance.random() < 0.5 else p.udp(bytes(8), *ports)
    kind, inner = p.ip(body, p.TCP if len(body) == 28 else p.UDP, *hosts)
    vni, source = shared[i], address(i)
    stranger = chance.randrange(40)
    if stranger == 0:
        vni = chance.randrange(1 << 24)
    elif stranger == 1:
        source = "10.250.0.1"
    return p.mirror(p.ether(inner, kind, *macs), vni, source)


some = chance.sample(range(sessions_n), min(2000, sessions_n))
some += [i - i % 10 for i in some[:200]]  # those that share a VNI
judge.write_pcap(f"{folder}/in.pcap", [(1_700_000_000 * judge.NS + n * 1000,
                                        packet(chance.choice(some))) for n in range(packets_n)])
END

cat >"$work/same.py" <<'END'
import collections
import json
import sys
import judge
import reference

folder, summary, explained, again = sys.argv[1:]
document = {}
for name in ("filters", "sessions", "interfaces", "outputs"):
    document.update(judge.load(f"{folder}/{name}.json"))
oracle = reference.Reference(document)
vpcs = {v["VpcId"]: v["CidrBlock"] for v in document["Vpcs"]}


def decide(packet):
    """(fate, session or None, direction). Each session has the resolver of its own VPC."""
    try:
        session, direction, _, _ = oracle.locate(packet.data)
    except judge.Fate as fate:
        return str(fate), None, None
    vpc = oracle.interfaces[session["NetworkInterfaceId"]]["VpcId"]
    oracle.resolvers = reference.RESOLVERS + [reference.ipaddress.ip_network(vpcs[vpc])[2]]
    try:
        oracle.decide(packet.data)
    except judge.Fate as fate:
        return str(fate), session["TrafficMirrorSessionId"], direction or "unknown"
    return "delivered", session["TrafficMirrorSessionId"], direction or "unknown"


decided = [decide(packet) for packet in judge.read(f"{folder}/in.pcap").packets]
fates = collections.Counter(fate for fate, _, _ in decided)
print(dict(fates))
for fate in ("session_unknown", "filter_reject", "filter_default", "delivered"):
    judge.demand(fates[fate] >= len(decided) // 100, "the test is weak: %d of %s", fates[fate], fate)
with open(explained, encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
judge.demand(len(lines) == len(decided), "%d of %d are explained", len(lines), len(decided))
for number, (line, (fate, session, direction)) in enumerate(zip(lines, decided), 1):
    got = line["fate"], line["session"]["session"], line.get("direction", {}).get("direction")
    judge.demand(got == (fate, session, direction), "packet %d: %r, expected %r", number, got,
                 (fate, session, direction))

numbers = judge.load(summary)
judge.check_ledger(numbers)
judge.check_fates(numbers, fates)
sides = collections.Counter((session, direction) for _, session, direction in decided if session)
for one in numbers["sessions"]:
    for side in ("ingress", "egress", "unknown"):
        judge.demand(one[side] == sides[one["session"], side], "%s: %d %s, expected %d",
                     one["session"], one[side], side, sides[one["session"], side])
for rule in numbers["rules"]:
    key = rule["filter"], *((rule["service"],) if "service" in rule else
                            (rule["direction"], rule["rule"]))
    judge.demand(rule["hits"] == oracle.hits[key], "%r: %d hits, expected %d", key, rule["hits"],
                 oracle.hits[key])
idle = len(numbers["sessions"]) - len({session for session, _ in sides})
judge.demand(numbers["never_hit"]["sessions"] == idle, "idle sessions")
judge.demand(numbers["never_hit"]["rules"] == sum(r["hits"] == 0 for r in numbers["rules"]), "idle")

# round and round, through reloads
numbers = judge.load(again)
judge.check_ledger(numbers)
rounds, rest = divmod(numbers["received"]["packets"], len(decided))
want = collections.Counter(fate for fate, _, _ in decided[:rest])
for fate, count in fates.items():
    want[fate] += rounds * count
print(f"{rounds} rounds and {rest} packets")
judge.check_fates(numbers, want)
for port, counters in numbers["device"].items():
    judge.demand(counters["imissed"] == counters["rx_nombuf"] == 0, "%s: %r", port, counters)
END

# make FOLDER SESSIONS FILTERS PACKETS
make()
{
	"$python" "$work/make.py" "$work/$1" "$seed" "${@:2}"
	configs=()
	for one in filters sessions interfaces outputs; do
		configs+=(-c "$work/$1/$one.json")
	done
}

# checked FOLDER: the memory that --check tells, in KiB
checked()
{
	timeout "$limit" "$MIRRORSINK" --check "${configs[@]}" >"$work/$1.out" 2>"$work/$1.err" ||
		fail "--check of $1: status $?"
	sed -nE '1s/.* in ([0-9]+) KiB, compiled.*/\1/p' "$work/$1.err"
}

took()
{
	printf '%-28s %5.1f s  %s\n' "$1" "$(bc <<<"$EPOCHREALTIME - $began")" "${2:-}"
	began=$EPOCHREALTIME
}
need_command bc
began=$EPOCHREALTIME

if ((sessions > 10000)); then
	make small 10000 10000 1
	took "10,000 sessions made"
	kib=$(checked small)
	((kib > 0 && kib <= 65536)) || fail "10,000 sessions and filters take $kib KiB"
	took "10,000 sessions checked" "$kib KiB"
fi
make all "$sessions" "$filters" 8000
took "documents made"
kib=$(checked all)
((kib > 0)) || fail "no memory is told"
took "checked" "$kib KiB"
timeout "$limit" "$MIRRORSINK" --explain "$work/all/in.pcap" --explain-format json \
	"${configs[@]}" >"$work/explain.out" 2>"$work/explain.err" || fail "--explain: status $?"
took "explained"
sink once "--vdev=net_pcap0,rx_pcap=$work/all/in.pcap" -- "${configs[@]}" -a idle:200 \
	--summary "$work/once.json"
took "received once"

# reloaded N: so many reloads are done
reloaded()
{
	(($(grep -c 'configuration reloaded' "$work/again.err" || true) >= $1))
}

memory+=(-m 256) # infinite_rx holds the whole file in mbufs
program_line "$MIRRORSINK" again "--vdev=net_pcap0,rx_pcap=$work/all/in.pcap,infinite_rx=1" -- \
	"${configs[@]}" --when-full wait --mbufs 20000 --summary "$work/again.json"
"${line[@]}" >"$work/again.out" 2>"$work/again.err" &
pid=$!
started+=("$pid")
wait_for 120 ready again || fail "mirrorsink is not ready"
took "started"
for turn in 1 2; do
	kill -HUP "$pid"
	wait_for 120 reloaded $turn || fail "reload $turn does not end"
	took "reloaded"
done
stop "$pid" || fail "mirrorsink ends with status $?"
took "ended"
check "$work/all" "$work/once.json" "$work/explain.out" "$work/again.json" <"$work/same.py"
took "judged"
