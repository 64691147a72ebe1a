# SPDX-License-Identifier: Apache-2.0
#
# A resolver that misbehaves. lying_resolver.py ADDRESS SEEN [HOW]: answers any question
# on ADDRESS port 53 with 203.0.113.20, UDP and TCP, after lies that HOW asks
# for. SEEN gets a line for each question: transport, source port, id, name.
#
#   honest    no lie                    silent    no answer at all
#   id        a wrong id first          question  another question first
#   port      from another port first   source    from another address first
#   servfail  SERVFAIL                  truncate  TC over UDP
#   slow      after half a second       garbage   bytes that are no message
#   twice     the answer, then another  tcphang   TC, then silence over TCP
#   refused   REFUSED                  authentic AD, to whoever asks for it
#   closes    TC, then one answer a TCP connection, which it closes
#   away      no answer in the 300 ms after the first for away.good.test
import random
import select
import socket
import struct
import sys
import time

address, seen_path = sys.argv[1:3]
how = sys.argv[3] if len(sys.argv) > 3 else "honest"
since = []
TRUE, LIE = "203.0.113.20", "203.0.113.66"


def name_end(m):
    at = 12
    while m[at]:
        at += m[at] + 1
    return at + 1


def reply(m, address4, flags=0x8180, ident=None, records=1):
    end = name_end(m) + 4
    qtype = struct.unpack(">H", m[end - 4:end - 2])[0]
    records = records if qtype == 1 else 0
    out = struct.pack(">HHHHHH", struct.unpack(">H", m[:2])[0]
                      if ident is None else ident, flags, 1, records, 0, 0)
    out += m[12:end]
    for _ in range(records):
        out += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4)
        out += socket.inet_aton(address4)
    return out


def other_question(m):
    end = name_end(m)
    return m[:12] + b"\x05other\x04test\x00" + m[end:]


def answers(m, tcp):
    """(socket to send from, message) in order."""
    ident = struct.unpack(">H", m[:2])[0]
    if how == "silent" or (how == "tcphang" and tcp):
        return []
    if how == "servfail":
        return [(udp, reply(m, TRUE, 0x8182, records=0))]
    if how == "authentic":
        return [(udp, reply(m, TRUE, 0x8180 | m[3] & 0x20))]
    if how == "refused":
        return [(udp, reply(m, TRUE, 0x8185, records=0))]
    if how in ("truncate", "tcphang", "closes") and not tcp:
        return [(udp, reply(m, TRUE, 0x8380, records=0))]
    true = (udp, reply(m, TRUE))
    if how == "id":
        return [(udp, reply(m, LIE, ident=i))
                for i in random.sample(range(65536), 200) if i != ident
                ] + [true]
    if how == "question":
        return [(udp, reply(other_question(m), LIE)), true]
    if how == "port":
        return [(elsewhere, reply(m, LIE)), true]
    if how == "source":
        return [(stranger, reply(m, LIE)), true]
    if how == "garbage":
        return [(udp, b""), (udp, b"\x00"), (udp, m), (udp, m[:12]),
                (udp, reply(m, LIE)[:20]), true]
    if how == "twice":
        return [true, (udp, reply(m, LIE))]
    if how == "slow":
        time.sleep(0.5)
    if how == "away" and (since or b"\x04away" in m):
        since.append(time.monotonic())
        if since[-1] - since[0] < 0.3:
            return []
    return [true]


def bound(family, kind, host, port):
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, port))
    return s


family = socket.AF_INET6 if ":" in address else socket.AF_INET
udp = bound(family, socket.SOCK_DGRAM, address, 53)
tcp = bound(family, socket.SOCK_STREAM, address, 53)
tcp.listen(16)
elsewhere = bound(family, socket.SOCK_DGRAM, address, 5353)
stranger = bound(socket.AF_INET, socket.SOCK_DGRAM, "203.0.113.99", 53) \
    if how == "source" else None
seen = open(seen_path, "w", buffering=1)


def note(transport, peer, m):
    labels, at = [], 12
    while m[at]:
        labels.append(m[at + 1:at + 1 + m[at]].decode("latin-1"))
        at += m[at] + 1
    seen.write("%s %d %d %s\n" % (transport, peer[1],
                                  struct.unpack(">H", m[:2])[0],
                                  ".".join(labels)))


def serve_tcp(s, peer, buffers):
    data = s.recv(65536)
    if not data:
        buffers.pop(s)
        s.close()
        return
    buffers[s] = (peer, buffers[s][1] + data)
    while len(buffers[s][1]) > 2:
        data = buffers[s][1]
        size = struct.unpack(">H", data[:2])[0]
        if len(data) < size + 2:
            break
        m = data[2:size + 2]
        buffers[s] = (peer, data[size + 2:])
        note("tcp", peer, m)
        for _, out in answers(m, True):
            s.sendall(struct.pack(">H", len(out)) + out)
        if how == "closes":
            buffers.pop(s)
            s.close()
            break


buffers = {}
while True:
    ready = select.select([udp, tcp] + list(buffers), [], [])[0]
    for s in ready:
        if s is udp:
            m, peer = udp.recvfrom(65535)
            note("udp", peer, m)
            for sender, out in answers(m, False):
                sender.sendto(out, peer)
        elif s is tcp:
            c, peer = tcp.accept()
            buffers[c] = (peer, b"")
        else:
            serve_tcp(s, buffers[s][0], buffers)
