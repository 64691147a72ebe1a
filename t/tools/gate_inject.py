#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Segments and sockets against the gate's own connections, in the sandbox's
namespace. Each verb prints one line.

    gate_inject.py into OWN SERVER WAY KIND [MARK]
        A connection through the gate; in its way on, read off the device, a
        segment of KIND (data, past, fin, rst, syn) that fits, by WAY: raw (a
        raw socket), device (packet(7) on eth0), lo (packet(7) on loopback).
        What became of the connection: "alive" if it still serves.
    gate_inject.py back OWN SERVER WAY KIND
        The same in the server's name, to the gate, while it waits for the
        answer to an upgrade: switch (101), data, fin, rst. What was answered,
        and to a request for another name behind it.
    gate_inject.py port OWN SERVER HOW
        HOW: rst, fin: a way on that the server or we ended; "client": our own
        connection that was refused. Connect from its source port, asking for
        another name.
    gate_inject.py fast SERVER NAME CALL     data with the SYN: msg, connect
    gate_inject.py own OWN PORT              the gate's port by each address
    gate_inject.py marks SERVER N [MARK...]  N random ones, and these
    gate_inject.py reuse SERVER N             N refused, each from another port
"""
import random
import socket
import struct
import sys
import threading
import time

from gate_attack import FINE, WEBSOCKET, WRONG, connected, get, hello

SO_MARK, PATIENCE = 36, 4
WORD = b"injected"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
KINDS = {"data": PSH | ACK, "past": PSH | ACK, "switch": PSH | ACK,
         "fin": FIN | ACK, "rst": RST, "syn": SYN}


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(source, to, ports, seq, ack, flags, body):
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 1024, 0, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(to)
    sum_ = checksum(ends + struct.pack("!HH", 6, len(tcp + body)) + tcp + body)
    tcp = tcp[:16] + struct.pack("!H", sum_) + tcp[18:] + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp),
                       random.randrange(65536), 0, 64, 6, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


class Sniffer(threading.Thread):
    """The last segment of the gate's way on to a server's port 80."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                               socket.htons(3))  # what leaves, too
        self.s.bind(("eth0", 3))
        self.server = socket.inet_aton(server)
        self.port = self.next = self.ack = self.frame = None
        self.start()

    def run(self):
        while True:
            data, where = self.s.recvfrom(65536)
            if where[2] != socket.PACKET_OUTGOING or \
                    data[12:14] != b"\x08\0" or data[23] != 6 or \
                    data[30:34] != self.server:
                continue
            at = 14 + 4 * (data[14] & 15)
            source, port, seq, ack, offset, flags = struct.unpack(
                "!HHIIBB", data[at:at + 14])
            n = struct.unpack("!H", data[16:18])[0] - (at - 14) - \
                4 * (offset >> 4)
            if port == 80 and not flags & (SYN | RST):
                self.port, self.ack = source, ack
                self.next = (seq + n) & 0xffffffff
                self.frame = data[:12]

    def settled(self):
        end, last = time.monotonic() + PATIENCE, None
        while time.monotonic() < end:
            now = (self.port, self.next, self.ack)
            if None not in now and now == last:
                return
            last = now
            time.sleep(0.1)
        raise SystemExit("no way on was seen")


def send(way, data, to, frame, mark=""):
    """A word for what the caller sees; where it goes is for others to see."""
    try:
        if way == "raw":
            s = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                              socket.IPPROTO_RAW)
            if mark:
                s.setsockopt(socket.SOL_SOCKET, SO_MARK,
                             struct.pack("=I", int(mark, 0)))
            s.sendto(data, (to, 0))
        else:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind(("lo" if way == "lo" else "eth0", 0x800))
            s.send((b"\0" * 12 if way == "lo" else frame) + b"\x08\0" + data)
    except OSError as e:
        return e.strerror
    return "sent"


def answered(s):
    """The Host of each answer until the connection ends or is silent."""
    got = b""
    s.settimeout(1)
    try:
        while True:
            piece = s.recv(65536)
            got += piece
            if not piece:
                return got, "fin"
            if got.endswith(b".test\n"):
                return got, "open"
    except TimeoutError:
        return got, "late"
    except OSError:
        return got, "reset"


def into(own, server, way, kind, mark=""):
    sniffer = Sniffer(server)
    s = connected(server, 80)
    s.sendall(FINE)
    answered(s)
    sniffer.settled()
    body = get("other.test", target="/" + WORD.decode()) \
        if kind in ("data", "past") else b""
    seq = sniffer.next - (20 if kind == "past" else 0)
    for _ in range(3):
        word = send(way, packet(own, server, (sniffer.port, 80), seq,
                                sniffer.ack, KINDS[kind], body), server,
                    sniffer.frame, mark)
    time.sleep(0.2)
    s.sendall(FINE)
    got, end = answered(s)
    return ("alive" if b"HTTP good.test" in got else end) + " " + word


def back(own, server, way, kind):
    sniffer = Sniffer(server)
    s = connected(server, 80)
    s.sendall(get("good.test", *WEBSOCKET, target="/slow"))
    sniffer.settled()
    body = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" if kind == "switch" \
        else b"HTTP/1.1 200 OK\r\n\r\n" if kind == "data" else b""
    send(way, packet(server, own, (80, sniffer.port), sniffer.ack,
                     sniffer.next, KINDS[kind], body), own, sniffer.frame)
    time.sleep(0.2)
    s.sendall(WRONG)
    got, end = b"", "late"
    while end in ("late", "open") and got.count(b"HTTP/1.1") < 2:
        more, end = answered(s)
        got += more
        if end == "late" and got:
            break
    return end + (" switched" if b" 101 " in got else "") + \
        (" good" if b"HTTP good.test" in got else "")


def from_port(own, server, port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(1)
    try:
        s.bind((own, port))
        s.connect((server, 80))
        s.sendall(WRONG)
        return answered(s)[1]
    except TimeoutError:
        return "late"
    except OSError as e:
        return e.strerror


def port(own, server, how):
    sniffer = Sniffer(server)
    s = connected(server, 80)
    mine = s.getsockname()[1]
    if how == "client":
        s.sendall(WRONG)
        answered(s)
        return f"{mine} " + from_port(own, server, mine)
    s.sendall(FINE)
    answered(s)
    sniffer.settled()
    way = sniffer.port
    if how == "rst":
        s.sendall(get("good.test", target="/rst"))
        answered(s)
    s.close()
    time.sleep(0.3)
    print("ended", flush=True)
    sys.stdin.readline()
    return f"{way} " + from_port(own, server, way)


def fast(server, name, call):
    data = hello(name.encode())
    s = socket.socket()
    try:
        if call == "msg":
            s.sendto(data, socket.MSG_FASTOPEN, (server, 443))
        else:
            s.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
            s.connect((server, 443))
            s.sendall(data)
        s.settimeout(PATIENCE)
        return "answered" if s.recv(1) else "fin"
    except OSError as e:
        return "reset" if isinstance(e, ConnectionError) else str(e)


def own(address, number):
    words = []
    for to in ("127.0.0.1", "::1", address, "::ffff:127.0.0.1", "127.0.0.2"):
        try:
            s = connected(to, int(number))
            s.sendall(hello(b"good.test"))
            words.append("answered" if s.recv(1) else "fin")
        except OSError as e:
            words.append("refused" if isinstance(e, ConnectionError) else
                         str(e))
    return " ".join(words)


def marks(server, n, *more):
    words = {}
    tries = [int(m, 0) for m in more]
    for mark in tries + [random.getrandbits(32) for _ in range(int(n))]:
        s = socket.socket()
        s.settimeout(PATIENCE)
        try:
            s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))
            s.connect((server, 80))
            s.sendall(WRONG)
            word = answered(s)[1]
        except ConnectionError:
            word = "reset"
        except OSError as e:
            word = e.strerror or str(e)
        words[word] = words.get(word, 0) + 1
        s.close()
    return " ".join(f"{k} {v}" for k, v in sorted(words.items()))


def reuse(server, n):
    words = {}
    for _ in range(int(n)):
        try:
            s = connected(server, 80)
            s.sendall(WRONG)
            word = answered(s)[1]
            s.close()
        except OSError as e:
            word = e.strerror
        words[word] = words.get(word, 0) + 1
    return " ".join(f"{k} {v}" for k, v in sorted(words.items()))


if __name__ == "__main__":
    print(globals()[sys.argv[1]](*sys.argv[2:]), flush=True)
