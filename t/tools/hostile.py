#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a hostile sandbox tries, one attempt a run. Prints one word: what the
caller of the attempt saw. Whether anything arrived is for the other side to
count.

    hostile.py tcp ADDRESS PORT [MARK]
    hostile.py udp ADDRESS PORT [SOURCE_PORT [MARK]]
    hostile.py ping ADDRESS
    hostile.py proto ADDRESS NUMBER          raw socket of that protocol
    hostile.py lite ADDRESS PORT             UDP-Lite
    hostile.py mapped ADDRESS PORT           IPv4 over an IPv6 socket
    hostile.py marks ADDRESS PORT N [MARK]   N random SO_MARKs, and MARK
    hostile.py guess udp|tcp ADDRESS PORT N  N different SO_MARKs, in a hurry
    hostile.py guess segment ADDRESS PORT N SOURCE SOURCE_PORT   the same in a
                                             connection that is another's
    hostile.py remarked ADDRESS PORT N       a mark of its own for each answer
                                             of an echo server
    hostile.py marks_seen DEVICE SECONDS
    hostile.py header SOURCE ADDRESS PORT    own IPv4 header, forged source
    hostile.py segment SOURCE SOURCE_PORT ADDRESS PORT [MARK]   TCP segments of
                                             all kinds, in a connection that is
                                             another's
    hostile.py lastwords ADDRESS PORT MARK BYTES   said and left at once
    hostile.py slow ADDRESS PORT             a server that reads late; bytes
    hostile.py fragments SOURCE ADDRESS PORT
    hostile.py frame DEVICE SOURCE ADDRESS PORT [bypass]   packet(7)
    hostile.py arp DEVICE SOURCE ADDRESS
    hostile.py xdp DEVICE SOURCE ADDRESS PORT [SECONDS]  and keep the socket
    hostile.py reverse SOURCE SELF PORT      forge an inbound packet, answer it
    hostile.py forge SOURCE ALLOWED PORT     open a way back to a forged source
    hostile.py lookalike SELF ADDRESS PORT   a connection that began on loopback
    hostile.py hold ADDRESS PORT SECONDS [PAUSE [SOURCE_PORT [SOURCE]]]
    hostile.py echo ADDRESS[,...] PORT SECONDS  a server, TCP and UDP
    hostile.py probe ADDRESS PORT SECONDS    a packet a millisecond
    hostile.py bound DEVICE ADDRESS PORT udp|tcp|later   SO_BINDTODEVICE; later:
                                             after a first packet without it
    hostile.py groups DEVICE WORD            multicast groups with such names
    hostile.py passive ADDRESS               FTP, with the data on another port
    hostile.py seen DEVICE SECONDS WORD      frames that hold it
"""
import ctypes
import errno
import os
import random
import select
import socket
import struct
import sys
import time

SO_MARK = 36
PACKET_QDISC_BYPASS = 20
WAIT = 1.5
# A connection that must open is waited for longer: the machine may be busy.
PATIENCE = 10


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def name_of(e):
    return errno.errorcode.get(e.errno, str(e.errno)) if e.errno else "timeout"


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, to, protocol, payload, ident=1, fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident,
                       fragment, 64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(to))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source_port, port, payload):
    return struct.pack("!HHHH", source_port, port, 8 + len(payload),
                       0) + payload


def udp6(source, to, source_port, port, payload):
    packet = udp(source_port, port, payload)
    addresses = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, to)
    sum_ = checksum(addresses + struct.pack("!II", len(packet), 17) + packet +
                    b"\0" * (len(packet) % 2))
    return packet[:6] + struct.pack("!H", sum_) + packet[8:]


def tcp(address, port, mark=""):
    s = socket.socket(family_of(address), socket.SOCK_STREAM)
    s.settimeout(WAIT)
    if mark:
        s.setsockopt(socket.SOL_SOCKET, SO_MARK,
                     struct.pack("=I", int(mark, 0)))
    begun = time.time()
    try:
        s.connect((address, int(port)))
        s.sendall(b"hello")
        return "open" if s.recv(16) else "closed"
    except OSError as e:
        word = name_of(e)
        return word + ("" if time.time() - begun < 0.5 else "-late")


def udp_try(address, port, source_port=0, mark=""):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(WAIT)
    if mark:
        s.setsockopt(socket.SOL_SOCKET, SO_MARK,
                     struct.pack("=I", int(mark, 0)))
    if source_port:
        s.bind(("", int(source_port)))
    try:
        s.connect((address, int(port)))
        s.send(b"hello")
        return "open" if s.recv(64) == b"hello" else "other"
    except OSError as e:
        return name_of(e)


def ping(address, port="0"):
    v6 = family_of(address) == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    s = socket.socket(family_of(address), socket.SOCK_RAW, protocol)
    s.settimeout(WAIT)
    kind, reply = (128, 129) if v6 else (8, 0)
    ident = os.getpid() & 0xffff
    head = struct.pack("!BBHHH", kind, 0, 0, ident, 1)
    if not v6:
        head = struct.pack("!BBHHH", kind, 0, checksum(head + b"data"), ident,
                           1)
    try:
        s.sendto(head + b"data", (address, 0))
        end = time.time() + WAIT
        while time.time() < end:
            data = s.recv(2048)
            data = data if v6 else data[20:]
            if data[0] == reply and data[4:6] == struct.pack("!H", ident):
                return "open"
        return "timeout"
    except OSError as e:
        return name_of(e)


def proto(address, number):
    s = socket.socket(family_of(address), socket.SOCK_RAW, int(number))
    data = struct.pack("!HHHH", 1234, 80, 12, 0) + b"data"
    if int(number) == socket.IPPROTO_SCTP:  # a whole INIT, so it is tracked
        data = struct.pack("!HHIIBBHIIHHI", 1234, 80, 0, 0, 1, 0, 20, 1, 65536,
                           1, 1, 1)
    try:
        for _ in range(3):
            s.sendto(data, (address, 0))
        return "sent"
    except OSError as e:
        return name_of(e)


def lite(address, port):
    """UDP-Lite (RFC 3828), through the kernel's own sockets."""
    try:
        s = socket.socket(family_of(address), socket.SOCK_DGRAM,
                          socket.IPPROTO_UDPLITE)
        s.sendto(b"lite", (address, int(port)))
        return "sent"
    except OSError as e:
        return name_of(e)


def marks_seen(device, seconds):
    """The marks of packets as a packet(7) socket shows them (SO_RCVMARK)."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, 75, 1)
    s.bind((device, 3))
    s.settimeout(0.1)
    print("listening", flush=True)
    seen, count = set(), 0
    end = time.time() + float(seconds)
    while time.time() < end:
        try:
            _, extra, _, _ = s.recvmsg(2048, 256)
        except OSError:
            continue
        count += 1
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == SO_MARK:
                seen.add(hex(struct.unpack("=I", data[:4])[0]))
    return "packets %s marks %s" % ("some" if count else "none",
                                    " ".join(sorted(seen)))


def marks(address, port, n, mark="1"):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sent = 0
    tries = [1, int(mark, 0)] + [
        random.getrandbits(32) for _ in range(int(n))]
    for value in tries:
        s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", value))
        try:
            s.sendto(b"marked", (address, int(port)))
            sent += 1
        except OSError:
            pass
    return "sent" if sent else "refused"


def guess(kind, address, port, n, source="", source_port=0):
    family, to = family_of(address), (address, int(port))
    s = raw4() if kind == "segment" else \
        socket.socket(family, socket.SOCK_DGRAM)
    packet = b"guess"
    if kind == "segment":
        to = (address, 0)
        packet = ipv4(source, address, 6, struct.pack(
            "!HHIIBBHHH", int(source_port), int(port), 1, 1, 0x50, 0x02, 1024,
            0, 0))  # conntrack takes a SYN for the connection's
    first = random.getrandbits(31)
    begun = time.monotonic()
    for i in range(int(n)):
        if kind == "tcp":
            s = socket.socket(family, socket.SOCK_STREAM)
            s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, SO_MARK,
                     struct.pack("=I", first + i + 1))
        try:
            s.connect(to) if kind == "tcp" else s.sendto(packet, to)
        except OSError:
            pass
    return "%d a second" % (int(n) / (time.monotonic() - begun))


def remarked(address, port, n):
    s = socket.create_connection((address, int(port)), PATIENCE)
    s.settimeout(1)
    first = random.getrandbits(31)
    for i in range(int(n)):
        s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", 0))
        try:
            s.send(b"echo")
            s.setsockopt(socket.SOL_SOCKET, SO_MARK,
                         struct.pack("=I", first + i + 1))
            if not s.recv(16):
                return "closed"
        except OSError:
            return "stopped"
    return "done"


def raw4():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def header(source, address, port):
    try:
        raw4().sendto(ipv4(source, address, 17,
                           udp(40000, int(port), b"forged")), (address, 0))
        return "sent"
    except OSError as e:
        return name_of(e)


def segment(source, source_port, address, port, mark=""):
    s = raw4()
    if mark:
        s.setsockopt(socket.SOL_SOCKET, SO_MARK,
                     struct.pack("=I", int(mark, 0)))
    sent = 0
    for flags in (0x02, 0x18, 0x10, 0x11, 0x12, 0x04, 0x14):
        head = struct.pack("!HHIIBBHHH", int(source_port), int(port), 1, 1,
                           0x50, flags, 1024, 0, 0)
        body = b"injected" if flags == 0x18 else b""
        sum_ = checksum(socket.inet_aton(source) + socket.inet_aton(address) +
                        struct.pack("!HH", 6, len(head + body)) + head + body)
        try:
            s.sendto(ipv4(source, address, 6, head[:16] +
                          struct.pack("!H", sum_) + head[18:] + body),
                     (address, 0))
            sent += 1
        except OSError:
            pass
    return "sent %d" % sent


def lastwords(address, port, mark, n):
    s = socket.socket(family_of(address), socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", int(mark, 0)))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * int(n))
    s.connect((address, int(port)))
    s.sendall(b"w" * int(n))
    s.close()
    return "said"


def slow(address, port):
    listener = socket.socket(family_of(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind((address, int(port)))
    listener.listen(1)
    print("listening", flush=True)
    s = listener.accept()[0]
    s.settimeout(PATIENCE)
    time.sleep(1)
    n = 0
    try:
        while True:
            data = s.recv(65536)
            if not data:
                return "%d bytes, end" % n
            n += len(data)
    except OSError as e:
        return "%d bytes, %s" % (n, name_of(e))


def fragments(source, address, port):
    whole = udp(40001, int(port), b"f" * 2000)
    try:
        s = raw4()
        ident = random.randrange(1, 65536)
        s.sendto(ipv4(source, address, 17, whole[:1000], ident, 0x2000),
                 (address, 0))
        s.sendto(ipv4(source, address, 17, whole[1000:], ident, 125),
                 (address, 0))
        # The rest of a packet whose beginning never comes.
        s.sendto(ipv4(source, address, 17, whole[1000:], ident ^ 1, 125),
                 (address, 0))
        return "sent"
    except OSError as e:
        return name_of(e)


def hardware(device):
    with open("/sys/class/net/%s/address" % device) as f:
        return bytes.fromhex(f.read().strip().replace(":", ""))


def frame(device, source, address, port, bypass=""):
    if family_of(address) == socket.AF_INET6:
        payload = udp6(source, address, 40002, int(port), b"frame")
        packet = struct.pack("!IHBB", 6 << 28, len(payload), 17, 64)
        packet += socket.inet_pton(socket.AF_INET6, source)
        packet += socket.inet_pton(socket.AF_INET6, address) + payload
        kind = 0x86dd
    else:
        packet = ipv4(source, address, 17, udp(40002, int(port), b"frame"))
        kind = 0x0800
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    if bypass:
        s.setsockopt(263, PACKET_QDISC_BYPASS, 1)
    s.bind((device, kind))
    # What loopback carries comes in again, and is routed if it is for it.
    to = hardware(device) if device == "lo" else b"\xff" * 6
    try:
        for _ in range(3):
            s.send(to + b"\2\0\0\0\0\1" + struct.pack("!H", kind) + packet)
        # The same without a header of our own, and of no known protocol.
        s2 = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        s2.sendto(packet, (device, kind, 0, 0, to))
        s2.sendto(b"covert", (device, 0x88b5, 0, 0, b"\xff" * 6))
        return "sent"
    except OSError as e:
        return name_of(e)


def option(source, address, port, kind):
    """A packet with an IPv4 option: 131 and 137 are source routes (RFC 791,
    by way of the next octets), 7 records the route, 148 alerts routers."""
    words = b"\0\0\0\0" if kind == "148" else \
        bytes([4]) + socket.inet_aton(address) + b"\0"
    data = bytes([int(kind), 2 + len(words) - (kind != "148")])
    data = (data + words)[:4 if kind == "148" else 8]
    payload = udp(40003, int(port), b"option")
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(data) // 4, 0,
                       20 + len(data) + len(payload), 7, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(address))
    try:
        raw4().sendto(head + data + payload, (address, 0))
        return "sent"
    except OSError as e:
        return name_of(e)


def routing(source, address, port, kind):
    """A packet with an IPv6 routing header of a type."""
    last = socket.inet_pton(socket.AF_INET6, address)
    payload = udp6(source, address, 40004, int(port), b"routing")
    extension = struct.pack("!BBBBI", 17, 2, int(kind), 0, 0) + last
    packet = struct.pack("!IHBB", 6 << 28, len(extension) + len(payload), 43,
                         64)
    packet += socket.inet_pton(socket.AF_INET6, source) + last
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    try:
        s.sendto(packet + extension + payload, (address, 0))
        return "sent"
    except OSError as e:
        return name_of(e)


def arp(device, source, address):
    mac = b"\2\0\0\0\0\1"
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac,
                       socket.inet_aton(source), b"\0" * 6,
                       socket.inet_aton(address))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((device, 0x0806))
    try:
        s.send(b"\xff" * 6 + mac + b"\x08\x06" + body)
        s.send(b"\xff" * 6 + mac + b"\x08\x06" + b"covert" * 20)
        return "sent"
    except OSError as e:
        return name_of(e)


def reverse(source, own, port):
    """Forge packets from source to ourselves, through a raw socket and on
    loopback's wire, and answer them from the port they were for."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((own, int(port)))
    server.settimeout(0.3)
    packet = ipv4(source, own, 17, udp(7777, int(port), b"please answer"))
    result = "silent"
    try:
        raw4().sendto(packet, (own, 0))
    except OSError:
        pass
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("lo", 0x0800))
    try:
        s.send(b"\0" * 12 + b"\x08\x00" + packet)
    except OSError:
        pass
    for _ in range(3):
        try:
            server.sendto(b"answer", (source, 7777))
            result = "sent"
        except OSError as e:
            result = name_of(e)
    return result


def forge(source, allowed, port):
    """A connection from a forged source to an allowed address, whose
    \"replies\" we then send ourselves."""
    out = raw4()
    try:
        out.sendto(ipv4(source, allowed, 17, udp(5555, int(port), b"there")),
                   (allowed, 0))
    except OSError:
        pass
    result = "refused"
    for _ in range(3):
        try:
            out.sendto(ipv4(allowed, source, 17,
                            udp(int(port), 5555, b"back")), (source, 0))
            result = "sent"
        except OSError as e:
            result = name_of(e)
    return result


def lookalike(own, address, port):
    """Begin a connection over loopback, forge its answer there, and go on with
    it where it belongs: conntrack takes it for established."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((own, 0))
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        s.sendto(b"begin", (address, int(port)))
    except OSError:
        pass
    answer = ipv4(address, own, 17, udp(int(port), s.getsockname()[1],
                                        b"answer"))
    try:
        for _ in range(2):
            raw4().sendto(answer, (own, 0))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"")
        s.sendto(b"covert", (address, int(port)))
        return "sent"
    except OSError as e:
        return name_of(e)


def hold(address, port, seconds, pause="0.05", source_port="", source=""):
    """Keep a connection busy; print what became of it."""
    s = socket.socket(family_of(address), socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    if source_port:
        s.bind((source, int(source_port)))
    try:
        s.connect((address, int(port)))
        print("connected", flush=True)
        end = time.time() + float(seconds)
        while time.time() < end:
            s.sendall(b"tick")
            if not s.recv(64):
                return "closed"
            time.sleep(float(pause))
        return "alive"
    except OSError as e:
        return name_of(e)


def idle(address, port, seconds):
    """Keep a connection and say nothing."""
    s = socket.socket(family_of(address), socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    s.connect((address, int(port)))
    print("connected", flush=True)
    s.settimeout(float(seconds))
    try:
        return "closed" if not s.recv(64) else "data"
    except socket.timeout:
        return "alive"
    except OSError as e:
        return name_of(e)


def echo(address, port, seconds):
    listeners, datagrams = [], []
    for own in address.split(","):
        s = socket.socket(family_of(own), socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((own, int(port)))
        s.listen(64)
        listeners.append(s)
        s = socket.socket(family_of(own), socket.SOCK_DGRAM)
        s.bind((own, int(port)))
        datagrams.append(s)
    print("listening", flush=True)
    peers = listeners + datagrams
    end = time.time() + float(seconds)
    while time.time() < end:
        for s in select.select(peers, [], [], 1)[0]:
            try:
                if s in listeners:
                    peers.append(s.accept()[0])
                elif s in datagrams:
                    data, peer = s.recvfrom(65536)
                    s.sendto(data, peer)
                else:
                    data = s.recv(65536)
                    if data:
                        s.sendall(data)
                    else:
                        peers.remove(s)
                        s.close()
            except OSError:
                if s not in listeners + datagrams:
                    peers.remove(s)
                    s.close()
    return "done"


def chatter(address, port, seconds):
    """A server that speaks first, and goes on, whatever it is told."""
    s = socket.create_server((address, int(port)))
    print("listening", flush=True)
    s.setblocking(False)
    end = time.monotonic() + float(seconds)
    peers = []
    while time.monotonic() < end:
        try:
            peers.append(s.accept()[0])
        except BlockingIOError:
            pass
        for peer in list(peers):
            try:
                peer.send(b"word\n")
            except OSError:
                peers.remove(peer)
        time.sleep(0.02)
    return "done"


def probe(address, port, seconds):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    end = time.time() + float(seconds)
    sent = tried = 0
    while time.time() < end:
        tried += 1
        try:
            s.sendto(b"probe", (address, int(port)))
            sent += 1
        except OSError:
            pass
        time.sleep(0.001)
    return "tried %d sent %d" % (tried, sent)


def answered(address, port, seconds):
    """A question every two milliseconds to an allowed peer: how many came
    back, of how many."""
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(0.5)
    s.connect((address, int(port)))
    end = time.time() + float(seconds)
    tried = got = 0
    while time.time() < end:
        tried += 1
        try:
            s.send(b"%d" % tried)
            s.recv(64)
            got += 1
        except OSError:
            pass
        time.sleep(0.002)
    return "tried %d lost %d" % (tried, tried - got)


def xdp(device, source, address, port, seconds="0.2"):
    """Transmit through an AF_XDP socket in copy mode, which needs no more
    than CAP_NET_RAW."""
    AF_XDP, SOL_XDP = 44, 283
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                          ctypes.c_int, ctypes.c_int, ctypes.c_long]
    try:
        s = socket.socket(AF_XDP, socket.SOCK_RAW)
    except OSError as e:
        return name_of(e)
    size = 16 * 4096
    area = libc.mmap(None, size, 3, 0x22, -1, 0)
    packet = b"\xff" * 6 + b"\2\0\0\0\0\1\x08\x00" + ipv4(
        source, address, 17, udp(40003, int(port), b"xdp"))
    ctypes.memmove(area, packet, len(packet))
    try:
        s.setsockopt(SOL_XDP, 4, struct.pack("=QQIIII", area, size, 4096, 0,
                                             0, 0))
        for ring in (5, 6, 3):  # fill, completion, transmit
            s.setsockopt(SOL_XDP, ring, 16)
        offsets = struct.unpack("=16Q", s.getsockopt(SOL_XDP, 1, 128))
        producer, _, descriptors = offsets[4:7]
        ring = libc.mmap(None, 4096, 3, 0x8001, s.fileno(), 0x80000000)
        index = socket.if_nametoindex(device)
        address_xdp = struct.pack("=HHIII", AF_XDP, 2, index, 0, 0)
        if libc.bind(s.fileno(), address_xdp, len(address_xdp)) < 0:
            return errno.errorcode.get(ctypes.get_errno(), "bind")
        ctypes.memmove(ring + descriptors,
                       struct.pack("=QII", 0, len(packet), 0), 16)
        ctypes.memmove(ring + producer, struct.pack("=I", 1), 4)
        libc.send(s.fileno(), None, 0, 0x40)
        print("sent", flush=True)
        time.sleep(float(seconds))
        return "done"
    except OSError as e:
        return name_of(e)


def bound(device, address, port, kind):
    s = socket.socket(family_of(address), socket.SOCK_STREAM if kind == "tcp"
                      else socket.SOCK_DGRAM)
    s.settimeout(WAIT)
    try:
        if kind == "later":
            s.sendto(b"first", (address, int(port)))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                     device.encode())
        if kind == "tcp":
            s.connect((address, int(port)))
        else:
            s.sendto(b"covert", (address, int(port)))
        return "sent"
    except OSError as e:
        return name_of(e)


def groups(device, word):
    """Groups and sources whose names are the message: their names leave with
    the reports of it (RFC 3376, RFC 3810)."""
    index = socket.if_nametoindex(device)
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for scope in (2, 14):
        for i in range(10):
            name = (b"%02d" % i + word.encode() * 14)[:14]
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                         bytes((0xff, scope)) + name +
                         struct.pack("=i", index))
    one = struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0,
                      socket.inet_pton(socket.AF_INET6, "ff3e::1"))
    for i in range(10):
        name = (b"%02d" % i + word.encode() * 16)[:16]
        s.setsockopt(socket.IPPROTO_IPV6, 46,  # MCAST_JOIN_SOURCE_GROUP
                     struct.pack("=I4x", index) + one +
                     struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0, name))
    s4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(10):
        s4.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                      bytes((239,)) + word.encode()[:2] + bytes((i,)) +
                      bytes(4))
    time.sleep(3)  # reports wait for a second at most, and come twice
    return "joined"


def passive(address):
    s = socket.create_connection((address, 21), PATIENCE)
    s.recv(64)
    s.sendall(b"PASV\r\n")
    port = [int(n) for n in s.recv(64).split(b"(")[1].split(b")")[0].split(
        b",")]
    return tcp(address, port[4] * 256 + port[5])


def passive_server(address, port, seconds):
    """An FTP server's words, and an echo where they lead."""
    data = socket.create_server((address, int(port)))
    control = socket.create_server((address, 21))
    print("listening", flush=True)
    peers, where = [data, control], address.split(".") + [
        str(int(port) >> 8), str(int(port) & 255)]
    end = time.time() + float(seconds)
    while time.time() < end:
        for s in select.select(peers, [], [], 1)[0]:
            if s is control:
                peers.append(s.accept()[0])
                peers[-1].sendall(b"220 here\r\n")
            elif s is data:
                c = s.accept()[0]
                c.sendall(c.recv(64))
                c.close()
            elif s.recv(64):
                s.sendall(b"227 Entering Passive Mode (%s)\r\n" %
                          ",".join(where).encode())
            else:
                peers.remove(s)
                s.close()
    return "done"


def seen(device, seconds, word):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((device, 3))
    s.settimeout(0.1)
    print("listening", flush=True)
    frames = hits = 0
    end = time.time() + float(seconds)
    while time.time() < end:
        try:
            data, where = s.recvfrom(2048)
        except OSError:
            continue
        if where[2] != socket.PACKET_OUTGOING:
            frames += 1
            hits += word.encode() in data
    return "frames %s with it %d" % ("some" if frames else "none", hits)


ATTEMPTS = {
    "tcp": tcp, "udp": udp_try, "ping": ping, "proto": proto, "lite": lite,
    "mapped": lambda a, p: udp_try("::ffff:" + a, p), "marks": marks,
    "marks_seen": marks_seen, "guess": guess,
    "remarked": remarked,
    "option": option, "routing": routing,
    "segment": segment, "lastwords": lastwords, "slow": slow,
    "header": header, "fragments": fragments, "frame": frame, "arp": arp,
    "xdp": xdp, "reverse": reverse, "forge": forge, "hold": hold,
    "idle": idle, "echo": echo, "probe": probe, "answered": answered,
    "lookalike": lookalike, "bound": bound, "groups": groups, "passive": passive,
    "passive_server": passive_server, "seen": seen, "chatter": chatter,
}

if __name__ == "__main__":
    print(ATTEMPTS[sys.argv[1]](*sys.argv[2:]), flush=True)
