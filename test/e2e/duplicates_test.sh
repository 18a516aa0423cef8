#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     host A                              host B
#     frame leaves --> router, TTL - 1 --> frame comes
#        | session tms-a, VNI 1               | session tms-b, VNI 2, up to 40 ms later
#        v                                    v
#     mirrored packets, in order of time --> net_pcap0 --> mirrorsink with Dedup --> files, summary
#
# Beside these pairs: the same bytes sent again by TCP, within the window and after it; the same
# frame twice in one session; frames that differ in one bit, in length, in where they were cut; what
# is not IP; copies that are padded; copies of which the second comes first. What must become of
# each is computed here, from the packets alone, with a dictionary of all frames so far.
#
# Succeeds if for -W 0, 1 and 2 and both scopes, and without Dedup,
#  - exactly the frames that are no duplicates are in the files, each of its session, byte for byte,
#    with its time;
#  - fates and sessions count the duplicates, and the ledger balances;
# and if
#  - with a table that is too small dedup_evicted says so, and nothing is lost but duplicates;
#  - with copies in two receive queues of two lcores, -W 0 says that it does not find them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cat >"$work/model.py" <<'END'
"""Makes the packets, and says what must become of them."""
import random
import struct
import judge
import packets as p

WINDOW = 50_000_000
MAC_A, MAC_B = ("02:aa:00:00:00:01", "02:aa:00:00:00:02"), ("02:bb:00:00:00:01", "02:bb:00:00:00:02")


def later(frame, hops):
    """As it looks behind routers: other MAC addresses, TTL lower, checksum right."""
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    kind, at = frame[at:at + 2], at + 2
    frame = bytearray(p.mac(MAC_B[1]) + p.mac(MAC_B[0]) + frame[12:])
    if kind == b"\x08\x00":
        header = (frame[at] & 15) * 4
        frame[at + 8] -= hops
        frame[at + 10:at + 12] = bytes(2)
        frame[at + 10:at + 12] = struct.pack("!H", p.checksum(frame[at:at + header]))
    elif kind == b"\x86\xdd":
        frame[at + 7] -= hops
    return bytes(frame)


def conversation(chance, number):
    """A frame of one of many sorts."""
    sort, size = chance.randrange(9), chance.choice((0, 1, 7, 30, 100, 700, 1400))
    body, hosts = chance.randbytes(size), (f"10.2.{number % 9}.1", "10.3.0.1")
    hosts6 = (f"2001:db8::{number % 9 + 1:x}", "2001:db8:1::1")
    tags, more = (), {"ident": chance.randrange(3)}
    if sort == 0:
        return p.ether(chance.randbytes(46), 0x88CC, *MAC_A)
    if sort == 1:
        tags = ((0x8100, 7),)
    if sort == 2:
        tags = ((0x88A8, 8), (0x8100, 7))
    if sort == 3:
        more["options"] = b"\x94\x04\0\0"
    segment = (p.TCP, p.tcp(body, 40000, 443, number)) if sort % 2 else (
        p.UDP, p.udp(body, 40000, 53))
    if sort in (5, 6):
        return p.ether(p.ipv6(segment[1], segment[0], *hosts6), 0x86DD, *MAC_A, tags)
    return p.ether(p.ipv4(segment[1], segment[0], *hosts, **more), 0x0800, *MAC_A, tags)


def make(seed, count):
    """[(time in ns, VNI, frame)], in order of time. Microseconds are all that a replay keeps."""
    chance, sent = random.Random(seed), []
    now = 1_700_000_000_000_000_000
    for number in range(count):
        now += chance.randrange(2_000) * 1000
        frame = conversation(chance, number)
        pair = [(now, 1, frame),
                (now + chance.randrange(40_000) * 1000, 2, later(frame, chance.randrange(1, 9)))]
        what = chance.randrange(12)
        if what == 0:  # sent again, the window over, and the edges of it
            wait = chance.choice((50_000, 50_001, 60_000, 200_000)) * 1000
            pair += [(time + wait, vni, one) for time, vni, one in pair]
        elif what == 1:  # sent again at once; not seen by the other one
            pair.append((now + chance.randrange(49_000) * 1000, 1, frame))
        elif what == 2:  # one bit is another one
            at = chance.randrange(12, len(frame))
            pair.append((now + 1000, 2, frame[:at] + bytes([frame[at] ^ 4]) + frame[at + 1:]))
        elif what == 3:  # one of them padded
            pair[1] = (*pair[1][:2], pair[1][2] + bytes(chance.randrange(1, 20)))
        elif what == 4:  # one of them cut
            pair[1] = (*pair[1][:2], pair[1][2][:chance.randrange(15, len(frame) + 1)])
        elif what == 5:  # both cut
            end = chance.randrange(15, len(frame) + 1)
            pair = [(time, vni, one[:end]) for time, vni, one in pair]
        elif what == 6:  # the other end's clock
            pair[0], pair[1] = (pair[0][0], *pair[1][1:]), (pair[1][0], *pair[0][1:])
        elif what == 7:  # only one end is there
            del pair[chance.randrange(2)]
        sent += pair
    return sorted(sent, key=lambda one: one[0])


def normalised(frame):
    """What of a frame counts, or None if it is never a copy."""
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8") and at < 20 and len(frame) >= at + 6:
        at += 4
    kind, head, rest = frame[at:at + 2], frame[12:at + 2], frame[at + 2:]
    if kind == b"\x08\x00":
        if len(rest) < 20:
            return None
        length, header, out = struct.unpack_from("!H", rest, 2)[0], (rest[0] & 15) * 4, (8, 10, 11)
    elif kind == b"\x86\xdd":
        if len(rest) < 40:
            return None
        length, header, out = struct.unpack_from("!H", rest, 4)[0] + 40, 40, (7,)
    else:
        return head + rest
    if len(rest) < length and len(rest) < header + 20:
        return None
    return head + bytes(0 if i in out else one for i, one in enumerate(rest[:length]))


def expect(sent, scope):
    """[is it a duplicate] for each of sent; scope None: Dedup is off."""
    first, answer = {}, []
    for time, vni, frame in sent:
        key = normalised(frame)
        known = first.get((key, vni if scope == "session" else 0))
        copy = scope is not None and key is not None and known is not None
        copy = copy and time - known <= WINDOW
        if key is not None and not copy:
            first[(key, vni if scope == "session" else 0)] = time
        answer.append(copy)
    return answer


def write(path, sent):
    judge.write_pcap(path, [(time, p.mirror(frame, vni, source=f"10.1.0.{vni}"))
                            for time, vni, frame in sent])
END
export PYTHONPATH=$PYTHONPATH:$work

check "$work" <<'END'
import sys
import model

sent = model.make(31, 2500)
model.write(f"{sys.argv[1]}/in.pcap", sent)
for vni in (1, 2):
    model.write(f"{sys.argv[1]}/in{vni}.pcap", [one for one in sent if one[1] == vni])
END

# config NAME DEDUP
config()
{
	cat >"$work/$1.json" <<-END
		{"TrafficMirrorSessions": [
		 {"TrafficMirrorSessionId": "tms-a", "VirtualNetworkId": 1},
		 {"TrafficMirrorSessionId": "tms-b", "VirtualNetworkId": 2}]}
	END
	[[ -z $2 ]] || echo "{\"Dedup\": $2}" >"$work/$1-dedup.json"
}
config all '{}'
config session '{"Scope": "session", "WindowMilliseconds": 50}'
config none ''
config small '{"Memory": "4KiB"}'

# replay RUN WORKERS CONFIG FILES...: one receive queue for each file
replay()
{
	local run=$1 workers=$2 config=$3 vdev=--vdev=net_pcap0 one arguments=()

	shift 3
	for one in "$@"; do
		vdev+=,rx_pcap=$work/$one
	done
	arguments=(-c "$work/$config.json")
	[[ ! -e $work/$config-dedup.json ]] || arguments+=(-c "$work/$config-dedup.json")
	sink "$run" "$vdev" -- "${arguments[@]}" -W "$workers" -w "$work/$run-{worker}.pcapng" \
		-a idle:300 --summary "$work/$run.summary" || fail "$run: status $?"
	assert_ledger "$work/$run.summary"
}

cat >"$work/compare.py" <<'END'
import collections
import glob
import sys
import judge
import model

work, run, scope = sys.argv[1:]
sent = model.make(31, 2500)
copies = model.expect(sent, None if scope == "none" else scope)
NAMES = {1: "tms-a", 2: "tms-b"}
got = []
for path in glob.glob(f"{work}/{run}-*.pcapng"):
    capture = judge.read(path)
    got += [(one.time, capture.name(one), one.data) for one in capture.packets]
want = [(time, NAMES[vni], frame) for (time, vni, frame), copy in zip(sent, copies) if not copy]
missing = collections.Counter(want) - collections.Counter(got)
more = collections.Counter(got) - collections.Counter(want)
judge.demand(not missing and not more, "missing: %r, too many: %r", list(missing.items())[:3],
             list(more.items())[:3])
summary = judge.load(f"{work}/{run}.summary")
judge.check_fates(summary, {"delivered": len(want), "duplicate": sum(copies)})
judge.demand(summary["dedup_evicted"] == 0, "evicted: %r", summary["dedup_evicted"])
for vni, name in NAMES.items():
    session = next(one for one in summary["sessions"] if one["session"] == name)
    mine = [copy for one, copy in zip(sent, copies) if one[1] == vni]
    judge.demand(
        (session["packets"], session["duplicates"], session["delivered"])
        == (len(mine), sum(mine), len(mine) - sum(mine)), "%s: %r", name, session)
print(f"{run}: {len(sent)} packets, {sum(copies)} duplicates")
least = {"all": 2000, "session": 50, "none": 0}[scope]
judge.demand(sum(copies) >= least and len(want) >= 2500, "the test tests little")
END

for workers in 0 1 2; do
	use_lcores $((workers + 2))
	for scope in all session none; do
		replay "w$workers-$scope" "$workers" "$scope" in.pcap
		check "$work" "w$workers-$scope" "$scope" <"$work/compare.py"
	done
done

# too little memory: some copies stay, and dedup_evicted and the report say why
use_lcores 2
replay small 0 small in.pcap
check "$work" <<'END'
import sys
import judge
import model

work = sys.argv[1]
sent = model.make(31, 2500)
copies = model.expect(sent, "all")
summary = judge.load(f"{work}/small.summary")
kept = {(one.time, one.data) for one in judge.read(f"{work}/small-0.pcapng").packets}
lost = [one for one, copy in zip(sent, copies) if not copy and (one[0], one[2]) not in kept]
# without its first copy a frame's window begins later, so that a retransmission may fall into it
judge.demand(len(lost) <= summary["dedup_evicted"], "%d lost", len(lost))
judge.demand(0 < summary["fates"]["duplicate"] <= sum(copies), "%r", summary["fates"])
END
grep -Eq "^tms-b .* $(get "$work/w0-all.summary" sessions.1.duplicates)\$" "$work/w0-all.out" ||
	fail "the report does not tell the duplicates of tms-b"
! grep -q ' duplicates$' "$work/w0-none.out" || fail "the report has duplicates, and Dedup is off"
(($(get "$work/small.summary" dedup_evicted) > 0)) || fail "nothing was evicted"
grep -q dedup_evicted "$work/small.out" || fail "the report does not tell dedup_evicted"

# two queues, two lcores, no worker: each finds its own copies only, and a message says so
use_lcores 3
replay queues 0 all in1.pcap in2.pcap
check "$work" <<'END'
import sys
import judge
import model

sent = model.make(31, 2500)
copies = sum(sum(model.expect([one for one in sent if one[1] == vni], "all")) for vni in (1, 2))
summary = judge.load(f"{sys.argv[1]}/queues.summary")
judge.check_fates(summary, {"delivered": len(sent) - copies, "duplicate": copies})
END
grep -q 'Dedup: without workers' "$work/queues.err" || fail "no message about two queues"
! grep -q 'Dedup: without workers' "$work/small.err" || fail "a message about one queue"
