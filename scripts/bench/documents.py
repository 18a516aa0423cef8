# SPDX-License-Identifier: BSD-3-Clause
"""
AWS documents for the traces: eight source interfaces, a session and VNI each, and one filter of ten
rules a direction, which accepts every frame of the traces, and not by its first rule.
"""

import json

SESSIONS = 8
FIRST_VNI = 64
TCP, UDP, ICMP = 6, 17, 1
ANY = "0.0.0.0/0"
SERVERS = "172.31.0.0/16"  # the addresses of the source interfaces' side

# Of ingress, where clients are the source: what is done, protocol, client, server port.
RULES = (
    ("reject", TCP, ANY, (22, 22)),
    ("reject", TCP, "203.0.113.0/24", None),
    ("accept", TCP, ANY, (80, 80)),
    ("reject", UDP, ANY, (123, 123)),
    ("accept", TCP, "10.0.0.0/8", (443, 443)),
    ("reject", UDP, ANY, (137, 139)),
    ("accept", UDP, "10.0.0.0/8", (53, 53)),
    ("reject", TCP, ANY, (3389, 3389)),
    ("accept", ICMP, ANY, None),
    ("accept", TCP, "10.0.0.0/8", (1024, 65535)),
)


def mac(i):
    return f"02:00:00:00:01:{i:02x}"


def address(i):
    """Of a source interface, and thus the outer source of its mirrored packets."""
    return f"10.1.0.{10 + i}"


def rule(i, direction, action, protocol, client, ports):
    made = {
        "TrafficMirrorFilterRuleId": f"tmfr-{direction}{i}",
        "TrafficDirection": direction,
        "RuleNumber": 10 * (i + 1),
        "RuleAction": action,
        "Protocol": protocol,
    }
    ends = ("Source", "Destination") if direction == "ingress" else ("Destination", "Source")
    made[ends[0] + "CidrBlock"], made[ends[1] + "CidrBlock"] = client, SERVERS
    if ports is not None:
        made[ends[1] + "PortRange"] = {"FromPort": ports[0], "ToPort": ports[1]}
    return made


def write(path):
    """All in one file, for mirrorsink -c and mirrorsource -c."""
    filters = [
        {
            "TrafficMirrorFilterId": "tmf-bench",
            "IngressFilterRules": [rule(i, "ingress", *one) for i, one in enumerate(RULES)],
            "EgressFilterRules": [rule(i, "egress", *one) for i, one in enumerate(RULES)],
            "NetworkServices": [],
        }
    ]
    sessions = [
        {
            "TrafficMirrorSessionId": f"tms-bench{i}",
            "TrafficMirrorTargetId": "tmt-bench",
            "TrafficMirrorFilterId": "tmf-bench",
            "NetworkInterfaceId": f"eni-bench{i}",
            "SessionNumber": 1,
            "VirtualNetworkId": FIRST_VNI + i,
        }
        for i in range(SESSIONS)
    ]
    interfaces = [
        {
            "NetworkInterfaceId": f"eni-bench{i}",
            "MacAddress": mac(i),
            "PrivateIpAddress": address(i),
            "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": address(i)}],
        }
        for i in range(SESSIONS)
    ]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(
            {
                "TrafficMirrorFilters": filters,
                "TrafficMirrorSessions": sessions,
                "NetworkInterfaces": interfaces,
            },
            file,
            indent=1,
        )
