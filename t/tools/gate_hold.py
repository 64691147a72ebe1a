#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections through the gate that take their time. Prints a line first, then
one for each that it reads.

    gate_hold.py hold ADDRESS PORT     of good.test, in clear, and answered;
                                       "wait": how it ended, "open" if it lives;
                                       "say": the answer to another request
    gate_hold.py flood ADDRESS PORT N  N hellos that do not end
    gate_hold.py drip ADDRESS PORT     one that comes an octet a second;
                                       "wait": how it ended
"""
import os
import socket
import sys
import threading
import time

from gate_attack import FINE, GOOD, connected, hello


def end_of(s, seconds=5):
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
        return "fin"
    except TimeoutError:
        return "open"
    except OSError:
        return "reset"


def say(s):
    try:
        s.sendall(FINE)
        got = b""
        while not got.endswith(b".test\n"):
            piece = s.recv(65536)
            if not piece:
                return "fin"
            got += piece
        return got.split(b"\r\n\r\n")[-1].decode().strip()
    except OSError:
        return "reset"


def dripping(s):
    try:
        for octet in hello(GOOD):
            s.sendall(bytes([octet]))
            time.sleep(1)
    except OSError:
        pass


verb, address, port, *more = sys.argv[1:]
if verb == "flood":
    held = []
    for _ in range(int(more[0])):
        held.append(connected(address, int(port)))
        try:
            held[-1].sendall(hello(GOOD)[:100])
        except OSError:
            pass
    print(len(held), flush=True)
else:
    s = connected(address, int(port))
    if verb == "drip":
        threading.Thread(target=dripping, args=(s,), daemon=True).start()
    print(say(s) if verb == "hold" else "dripping", flush=True)
for line in sys.stdin:
    print(say(s) if line == "say\n" else end_of(s, 5 if verb == "hold" else
                                                20), flush=True)
os._exit(0)
