#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A DNS server that answers what it is told to, true or not.

usage: liar.py SCRIPT ADDRESS...

SCRIPT is JSON, read anew for each question: {"name": {"TYPE": [record...]}}
with "*" as a type for all others; a name "*.x" is any below x. A record is
[owner, ttl, type, value], owner "@" being the name asked for; HTTPS
values are parameters, {"port": 443, "ipv4hint": [...], "ipv6hint": [...]}.
Beside the types a name may say:
    "rcode": N            the response code, default 0; unknown names: 3
    "extra": [record...]  in the additional section
    "authority": [record...]
    "wait": FILE          answer only once FILE exists
    "before": [lie...]    send these first, each a whole answer that is wrong
                          in "id", "question", "port" or "source"
    "silent": true        say nothing at all
A datagram that is larger than the client allows is truncated. Each question
is printed as: transport source port name type
"""
import json
import os
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28,
         "DNAME": 39, "OPT": 41, "SVCB": 64, "HTTPS": 65, "ANY": 255}
NAMES = {number: name for name, number in TYPES.items()}
LIE = "203.0.113.66"


def name_pack(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode("latin-1")
    return out + b"\0"


def name_read(message, at):
    labels = []
    while message[at]:
        size = message[at]
        labels.append(message[at + 1:at + 1 + size].decode("latin-1"))
        at += 1 + size
    return ".".join(labels), at + 1


def svcb(parameters):
    out = struct.pack("!H", 1) + b"\0"
    for key, code, family in (("port", 3, None),
                              ("ipv4hint", 4, socket.AF_INET),
                              ("ipv6hint", 6, socket.AF_INET6)):
        if key not in parameters:
            continue
        if family is None:
            value = struct.pack("!H", parameters[key])
        else:
            value = b"".join(socket.inet_pton(family, a)
                             for a in parameters[key])
        out += struct.pack("!HH", code, len(value)) + value
    return out


def data_pack(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind in ("CNAME", "NS", "DNAME"):
        return name_pack(value)
    if kind == "TXT":
        return bytes([len(value)]) + value.encode("latin-1")
    if kind in ("HTTPS", "SVCB"):
        return svcb(value)
    raise ValueError(kind)


def records(listed, name=""):
    out = b""
    for owner, ttl, kind, value in listed:
        owner = name if owner == "@" else owner
        data = data_pack(kind, value)
        out += name_pack(owner) + struct.pack("!HHIH", TYPES[kind], 1, ttl,
                                              len(data)) + data
    return out


class Question:
    def __init__(self, message):
        self.id, self.flags, count = struct.unpack("!HHH", message[:6])
        if count != 1:
            raise ValueError("questions")
        self.name, at = name_read(message, 12)
        self.type, = struct.unpack("!H", message[at:at + 2])
        self.raw = message[12:at + 4]
        self.size = 512
        if message[at + 4:at + 7] == b"\0\0\x29":
            self.size = max(512, struct.unpack("!H",
                                               message[at + 7:at + 9])[0])

    def kind(self):
        return NAMES.get(self.type, str(self.type))


def entry_of(script, name):
    """A name's own entry, or that of the nearest "*." above it."""
    labels = name.lower().split(".")
    for at in range(len(labels)):
        key = ".".join(labels[at:])
        found = script.get("*." + key if at else key)
        if found is not None:
            return found
    return None


def answer(q, script, limit, ident=None, question=None, listed=None):
    entry = entry_of(script, q.name)
    if entry is None:
        code, listed = 3, []
    else:
        code = entry.get("rcode", 0)
        if listed is None:
            listed = entry.get(q.kind(), entry.get("*", []))
    extra = (entry or {}).get("extra", [])
    authority = (entry or {}).get("authority", [])
    raw = q.raw if question is None else question
    ident = q.id if ident is None else ident
    head = struct.pack("!HHHHHH", ident, 0x8180 | code, 1, len(listed),
                       len(authority), len(extra))
    whole = head + raw + records(listed, q.name) + records(authority) + records(extra)
    if len(whole) > limit:
        return struct.pack("!HHHHHH", ident, 0x8380 | code, 1, 0, 0, 0) + raw
    return whole


def lie(q, script, how, server, peer):
    """One spoofed answer: right in all but one thing."""
    listed = [[q.name, 60, "A", LIE]]
    sender = server
    if how == "id":
        for wrong in (q.id ^ 1, (q.id + 1) & 0xffff, 0):
            server.sendto(answer(q, script, 512, ident=wrong, listed=listed),
                          peer)
        return
    if how == "question":
        other = name_pack("x" + q.name) + struct.pack("!HH", q.type, 1)
        message = answer(q, script, 512, question=other, listed=listed)
    else:
        message = answer(q, script, 512, listed=listed)
    if how in ("port", "source"):
        own = server.getsockname()
        sender = socket.socket(server.family, socket.SOCK_DGRAM)
        if how == "source":
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sender.bind(("203.0.113.66", 53))
        else:
            sender.bind((own[0], 5353))
    sender.sendto(message, peer)
    if sender is not server:
        sender.close()


def reply(message, peer, transport, limit, server=None):
    q = Question(message)
    with open(sys.argv[1]) as f:
        script = json.load(f)
    print(transport, peer[0], peer[1], q.name, q.kind(), flush=True)
    entry = entry_of(script, q.name) or {}
    if entry.get("silent"):
        return None
    if server is not None:
        for how in entry.get("before", []):
            lie(q, script, how, server, peer)
    while "wait" in entry and not os.path.exists(entry["wait"]):
        time.sleep(0.01)
    return answer(q, script, limit or q.size)


def datagram(server, message, peer):
    try:
        out = reply(message, peer, "udp", 0, server)
    except (ValueError, IndexError, struct.error) as e:
        print("odd", peer[0], peer[1], repr(e), message[:64].hex(), flush=True)
        return
    if out:
        server.sendto(out, peer)


def exactly(connection, size):
    out = b""
    while len(out) < size:
        part = connection.recv(size - len(out))
        if not part:
            raise EOFError
        out += part
    return out


def stream(connection, peer):
    try:
        while True:
            size, = struct.unpack("!H", exactly(connection, 2))
            out = reply(exactly(connection, size), peer, "tcp", 65535)
            if out:
                connection.sendall(struct.pack("!H", len(out)) + out)
    except (EOFError, OSError, ValueError, IndexError, struct.error):
        connection.close()


def udp_serve(server):
    while True:
        message, peer = server.recvfrom(65535)
        threading.Thread(target=datagram, args=(server, message, peer),
                         daemon=True).start()


def tcp_serve(server):
    while True:
        threading.Thread(target=stream, args=server.accept(),
                         daemon=True).start()


def main():
    threads = []
    for address in sys.argv[2:]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind, serve in ((socket.SOCK_DGRAM, udp_serve),
                            (socket.SOCK_STREAM, tcp_serve)):
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, 53))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            threads.append(threading.Thread(target=serve, args=(s,)))
    print("listening", flush=True)
    for thread in threads:
        thread.start()


main()
