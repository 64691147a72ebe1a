# SPDX-License-Identifier: Apache-2.0
"""Both ends of connections through the gate.

usage: gate_peer.py serve ADDRESS PORT
       gate_peer.py VERB ADDRESS PORT NAME [N]

A connection begins with a ClientHello for NAME; the first byte behind it is
that of application data, so that nothing behind it is looked at, and a line
tells the server what to do. The verbs print one line; those that wait for
something say "ready" first, and go on with a line on standard input.
"""
import functools
import hashlib
import os
import socket
import ssl
import struct
import sys
import threading
import time

PIECE = 1 << 16
BLOCK = hashlib.shake_128(b"block").digest(1 << 20)


@functools.cache
def hello(name):
    """A real ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def send_many(s, n):
    """n bytes that both ends can make; their checksum."""
    digest = hashlib.sha256()
    while n > 0:
        piece = BLOCK[:min(n, len(BLOCK))]
        s.sendall(piece)
        digest.update(piece)
        n -= len(piece)
    return digest.hexdigest()


def read_all(s):
    digest, n = hashlib.sha256(), 0
    while piece := s.recv(PIECE):
        digest.update(piece)
        n += len(piece)
    return n, digest.hexdigest()


def end_of(s, seconds=20):
    """How the other side ended it."""
    s.settimeout(seconds)
    try:
        while s.recv(PIECE):
            pass
        return "fin"
    except TimeoutError:
        return "open"
    except OSError:
        return "reset"


def ends_of(held, seconds):
    """How many of them were ended in which way."""
    end = time.monotonic() + seconds
    ends = [end_of(s, max(0.01, end - time.monotonic())) for s in held]
    return " ".join(f"{k} {ends.count(k)}" for k in ("reset", "open", "fin"))


def exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def say(*words):
    # One write, whoever else speaks.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def do_sink(s, n):
    s.sendall(b"%d %s\n" % (lambda r: (r[0], r[1].encode()))(read_all(s)))


def do_source(s, n):
    send_many(s, n)
    s.shutdown(socket.SHUT_WR)
    say("source", end_of(s, 60))


def do_echo(s, n):
    while piece := s.recv(PIECE):
        s.sendall(piece)


def do_half(s, n):
    s.shutdown(socket.SHUT_WR)
    say("half", *read_all(s))


def do_reset(s, n):
    reset(s)


def do_last(s, n):
    s.sendall(b"last words")
    reset(s)


def do_hold(s, n):
    s.sendall(b"!")
    say("hold", end_of(s, 600))


def do_stall(s, n):
    time.sleep(n)
    say("stall", *read_all(s))


def serve_one(s):
    try:
        header = exactly(s, 5)
        exactly(s, struct.unpack("!H", header[3:])[0])
        line = exactly(s, 1)
        while not line.endswith(b"\n"):
            line += exactly(s, 1)
        verb, n = line[1:].split()
        globals()["do_" + verb.decode()](s, int(n))
    except (OSError, EOFError) as e:
        say("server", type(e).__name__)
    finally:
        s.close()


def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, int(port)), family=family,
                                    backlog=4096)
    say("listening")
    while True:
        try:
            s, _ = listener.accept()
        except ConnectionAbortedError:
            continue
        threading.Thread(target=serve_one, args=(s,), daemon=True).start()


class Client:
    def __init__(self, address, port, name, n=0):
        self.to, self.name, self.n = (address, int(port)), name, int(n)

    def plain(self):
        return socket.create_connection(self.to, 60)

    def open(self, verb, n=0):
        s = self.plain()
        s.sendall(hello(self.name) + b"\x17%s %d\n" % (verb.encode(), n))
        return s

    def wait(self):
        say("ready")
        sys.stdin.readline()

    def upload(self):
        s = self.open("sink")
        digest = send_many(s, self.n)
        s.shutdown(socket.SHUT_WR)
        answer = s.makefile().readline().split()
        return "same" if answer == [str(self.n), digest] else answer

    def download(self):
        s = self.open("source", self.n)
        n, digest = read_all(s)
        want = hashlib.sha256()
        for at in range(0, self.n, len(BLOCK)):
            want.update(BLOCK[:min(len(BLOCK), self.n - at)])
        return "same" if (n, digest) == (self.n, want.hexdigest()) else n

    def slow(self):
        """A reader that does not read, until it is told."""
        s = self.open("source", self.n)
        self.wait()
        return read_all(s)[0]

    def gone(self):
        """One that does not read and resets."""
        s = self.open("source", self.n)
        self.wait()
        reset(s)
        return "gone"

    def stuff(self):
        """Write to a server that does not read, as much as goes, and reset."""
        s = self.open("stall", self.n)
        s.setblocking(False)
        sent, end = 0, time.monotonic() + 2
        while time.monotonic() < end:
            try:
                sent += s.send(BLOCK)
            except BlockingIOError:
                time.sleep(0.05)
        reset(s)
        return sent

    def both(self):
        s = self.open("echo")
        got = []
        reader = threading.Thread(target=lambda: got.append(read_all(s)))
        reader.start()
        digest = send_many(s, self.n)
        s.shutdown(socket.SHUT_WR)
        reader.join()
        return "same" if got == [(self.n, digest)] else got

    def half(self):
        """The server ends first; what is said then arrives all the same."""
        s = self.open("half")
        end = s.recv(1)
        digest = send_many(s, self.n)
        s.close()
        return f"{end} {self.n} {digest}"

    def reset(self):
        """The server resets."""
        return end_of(self.open("reset"))

    def resets(self):
        """n of them, one after another."""
        ends = [end_of(self.open("reset")) for _ in range(self.n)]
        return ends.count("reset")

    def last(self):
        """The server answers and resets: its answer is seen before."""
        s = self.open("last")
        got = b""
        try:
            while piece := s.recv(PIECE):
                got += piece
            return f"{got.decode()}, fin"
        except ConnectionResetError:
            return f"{got.decode()}, reset"

    def abandon(self):
        """The client resets; the server says what it saw."""
        s = self.open("hold")
        s.recv(1)
        reset(s)
        return "abandoned"

    def refused(self):
        """A name that is refused."""
        try:
            s = self.plain()
            s.sendall(hello(self.name))
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        return end_of(s)

    def raw(self):
        """What standard input has is said, in pieces of n bytes, and where
        the name is "end" that it is all."""
        s = self.plain()
        data = sys.stdin.buffer.read()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(20)
        got = b""
        try:
            for at in range(0, len(data), self.n or len(data)):
                s.sendall(data[at:at + (self.n or len(data))])
            if self.name == "end":
                s.shutdown(socket.SHUT_WR)
            while piece := s.recv(PIECE):
                got += piece
            end = "fin"
        except TimeoutError:
            end = "open"
        except OSError:
            end = "reset"
        return f"{got!r} {end}"

    def drip(self):
        """A hello of one byte a segment, and then an echo."""
        s = self.plain()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in hello(self.name) + b"\x17echo 0\n":
            s.sendall(bytes([byte]))
            time.sleep(0.001)
        s.sendall(b"drip")
        return s.recv(4).decode()

    def silent(self):
        """n connections that say nothing; how many of them were reset."""
        held = [self.plain() for _ in range(self.n)]
        self.wait()
        return ends_of(held, 20)

    def heads(self):
        """n connections with 60 KiB of a head that does not end."""
        held = []
        for _ in range(self.n):
            held.append(self.plain())
            try:
                held[-1].sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 60000)
            except OSError:
                pass
        self.wait()
        return ends_of(held, 20)

    def half_said(self):
        """The beginning of a hello, and the end."""
        s = self.plain()
        s.sendall(hello(self.name)[:self.n])
        s.shutdown(socket.SHUT_WR)
        return end_of(s)

    def hold(self):
        """n connections at rest, until one is told; how they ended."""
        held = []
        for _ in range(self.n):
            s = self.open("hold")
            s.recv(1)
            held.append(s)
        self.wait()
        return ends_of(held, 5)

    def talk(self):
        """n connections at rest that still work when one is told."""
        held = [self.open("echo") for _ in range(self.n)]
        for s in held:
            s.sendall(b"1")
            s.recv(1)
        self.wait()
        good = 0
        for s in held:
            s.sendall(b"2")
            good += s.recv(1) == b"2"
        return good

    def many(self):
        """n connections, one after another."""
        good = 0
        for _ in range(self.n):
            with self.open("echo") as s:
                s.sendall(b"1")
                good += s.recv(1) == b"1"
        return good


verb, *arguments = sys.argv[1:]
if verb == "serve":
    serve(*arguments)
else:
    try:
        say(getattr(Client(*arguments), verb)())
    except OSError as error:
        say(type(error).__name__)
    os._exit(0)
