#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
poll.py http|tcp ADDRESS PORT WANTED SECONDS: asks as a load balancer does, ten times a second, until
the answer is WANTED or the time is over. Answers: a status such as 200, "open" for a connection that
is accepted, "refused", "silent" for none within a second. Prints the answer and after how many
milliseconds it came; exit status 1 if it is not the one that is wanted.
"""

import http.client
import socket
import sys
import time


def ask(kind, address, port):
    try:
        if kind == "tcp":
            socket.create_connection((address, port), timeout=1).close()
            return "open"
        connection = http.client.HTTPConnection(address, port, timeout=1)
        connection.request("GET", "/any/path")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return str(answer.status)
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"


def main(kind, address, port, wanted, seconds):
    begin = time.monotonic()
    while True:
        answer = ask(kind, address, int(port))
        took = time.monotonic() - begin
        if answer == wanted or took > float(seconds):
            break
        time.sleep(0.1)
    print(answer, int(took * 1000))
    sys.exit(answer != wanted)


main(*sys.argv[1:])
