#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A gate that lets everything on: what stands behind the packet filter's
redirection in tests of the filter alone. A line for each connection: where it
was for, from whom, and the port of the way on.

    plain_gate.py PORT MARK
"""
import ipaddress
import select
import socket
import struct
import sys
import threading

SO_MARK = 36
SO_ORIGINAL_DST = 80  # and IP6T_SO_ORIGINAL_DST


def destination(s):
    if s.family == socket.AF_INET:
        raw = s.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
        address = socket.inet_ntop(socket.AF_INET, raw[4:8])
    else:
        raw = s.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        address = socket.inet_ntop(socket.AF_INET6, raw[8:24])
    return address, struct.unpack("!H", raw[2:4])[0]


def relay(a, b):
    other = {a: b, b: a}
    open_ = {a, b}
    while open_:
        for s in select.select(list(open_), [], [])[0]:
            data = s.recv(65536)
            if data:
                other[s].sendall(data)
            else:
                open_.discard(s)
                other[s].shutdown(socket.SHUT_WR)


def serve(client, mark):
    way = socket.socket(client.family, socket.SOCK_STREAM)
    try:
        to = destination(client)
        source = client.getpeername()[0]
        way.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))
        try:
            way.bind((source, 0))
        except OSError:  # a machine behind the namespace
            pass
        way.settimeout(5)
        try:
            way.connect(to)
            own = way.getsockname()[1]
        except OSError as e:
            own = e
        print("for %s %d from %s by %s" % (
            ipaddress.ip_address(to[0]), to[1], source, own), flush=True)
        way.settimeout(None)
        relay(client, way)
    except OSError as e:
        print("ended", e, flush=True)
    # A reset, where something is left unread.
    client.close()
    way.close()


def main(port, mark):
    listeners = []
    for family, own in ((socket.AF_INET, "127.0.0.1"),
                        (socket.AF_INET6, "::1")):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((own, port))
        s.listen(64)
        listeners.append(s)
    print("listening", flush=True)
    while True:
        for s in select.select(listeners, [], [])[0]:
            threading.Thread(target=serve, args=(s.accept()[0], mark),
                             daemon=True).start()


main(int(sys.argv[1]), int(sys.argv[2], 0))
