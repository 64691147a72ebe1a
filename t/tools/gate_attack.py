#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a hostile sandbox says to the gate. Reads attempts from standard input,
a line each, and answers each with a line.

    say ADDRESS NAME     an attempt of the table below:
                         "END ANSWERS HEX": how the connection ended (reset,
                         fin, open), what was answered (names of hosts, "tls"),
                         and what of it a server may see
    names                those of the table

The table's attempts are lists of pieces: bytes, said in one write; WAIT, until
an answer came; and ON, behind which nothing may reach a server.
"""
import re
import socket
import struct
import sys
import time

WAIT, ON = "wait", "on"
PATIENCE = 4


def extension(kind, body):
    return struct.pack("!HH", kind, len(body)) + body


def sni(*names, kind=0):
    entries = b"".join(struct.pack("!BH", kind, len(n)) + n for n in names)
    return extension(0, struct.pack("!H", len(entries)) + entries)


def message(extensions, short=0):
    """A ClientHello. short: octets that its extensions claim beyond it."""
    body = b"\3\3" + b"R" * 32 + b"\x20" + b"S" * 32
    body += struct.pack("!H8s", 8, b"\x13\1\x13\2\xc0\x2b\xc0\x2f") + b"\1\0"
    if extensions is not None:
        rest = extensions + extension(10, b"\0\4\0\x1d\0\x17") + \
            extension(13, b"\0\6\4\3\x08\4\4\1") + \
            extension(43, b"\4\3\4\3\3") + extension(51, b"\0\0")
        body += struct.pack("!H", len(rest) + short) + rest
    return b"\1" + struct.pack("!I", len(body))[1:] + body


def record(body, kind=22):
    return struct.pack("!BHH", kind, 0x301, len(body)) + body


def hello(*names, more=b""):
    return record(message((sni(*names) if names else b"") + more))


def records(body, size):
    return b"".join(record(body[at:at + size])
                    for at in range(0, len(body), size))


def each_byte(data):
    return [bytes([b]) for b in data]


GOOD, OTHER = b"good.test", b"other.test"
LONG = b".".join([b"a" * 63] * 4)
ECH = extension(0xfe0d, b"\0\0\1\0\1\7\0\x20" + b"E" * 32 + b"\0\x40" +
                b"P" * 64)
ALERT, SWITCH = record(b"\1\0", 21), record(b"\1", 20)
MESSAGE = message(sni(GOOD))
V2 = b"\x80\x2e\1\3\1\0\x15\0\0\0\x10" + b"\0\0\x2f" * 7 + b"C" * 16


def get(host, *fields, target="/", version="1.1", method="GET"):
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [f"Host: {host}"] if host is not None else []
    return "\r\n".join(lines + list(fields) + ["", ""]).encode()


def h(*lines):
    return "\r\n".join(lines + ("", "")).encode()


def post(*fields):
    return get("good.test", *fields, method="POST")


H2C = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
       "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def h2(*fields, stream=1):
    """A request of HTTP/2 in clear; fields behind GET http /."""
    block = b"\x82\x86\x84" + b"".join(
        b"\0" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in fields)
    return struct.pack("!I", len(block))[1:] + b"\1\5" + \
        struct.pack("!I", stream) + block


SETTINGS = b"\0\0\0\4\0\0\0\0\0"
WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade")
FINE, WRONG = get("good.test"), get("other.test")

TLS = {
    # let on
    "a name": [hello(GOOD)],
    "upper case": [hello(b"GOOD.TEST")],
    "ECH, the outer name allowed": [hello(GOOD, more=ECH)],
    "one-byte segments": each_byte(hello(GOOD)),
    "one-byte records": [records(MESSAGE, 1)],
    # refused
    "another name": [ON, hello(OTHER)],
    "another name, one-byte segments": [ON, *each_byte(hello(OTHER))],
    "another name, three octets a record":
        [ON, records(message(sni(OTHER)), 3)],
    "no name": [ON, hello()],
    "no extensions": [ON, record(message(None))],
    "a trailing dot": [ON, hello(GOOD + b".")],
    "a NUL behind it": [ON, hello(GOOD + b"\0" + OTHER)],
    "a NUL in front": [ON, hello(OTHER + b"\0." + GOOD)],
    "a space": [ON, hello(GOOD + b" ")],
    "a port": [ON, hello(GOOD + b":443")],
    "a star": [ON, hello(b"*.test")],
    "octets above 127": [ON, hello("g\u00f6\u00f6d.test".encode())],
    "an empty name": [ON, hello(b"")],
    "255 octets": [ON, hello(LONG)],
    "256 octets": [ON, hello(LONG + b".")],
    "an IPv4 address": [ON, hello(b"203.0.113.20")],
    "an IPv6 address": [ON, hello(b"2001:db8:113::20")],
    "two entries": [ON, hello(GOOD, OTHER)],
    "two entries of one name": [ON, hello(GOOD, GOOD)],
    "an entry that is no host": [ON, record(message(sni(GOOD, kind=1)))],
    "two extensions": [ON, hello(GOOD, more=sni(OTHER))],
    "ECH, the outer name another": [ON, hello(OTHER, more=ECH)],
    "ECH without an outer name": [ON, hello(more=ECH)],
    "an alert in front": [ON, ALERT + hello(GOOD)],
    "an alert between its records":
        [ON, record(MESSAGE[:60]) + ALERT + record(MESSAGE[60:])],
    "an alert between its records, as they come":
        [ON, record(MESSAGE[:60]), ALERT, record(MESSAGE[60:])],
    "an empty record between":
        [ON, record(MESSAGE[:60]) + record(b"") + record(MESSAGE[60:])],
    "a change of cipher in front": [ON, SWITCH + hello(GOOD)],
    "more in its last record": [ON, record(MESSAGE + b"\0")],
    "lengths that lie": [ON, record(message(sni(GOOD), short=4))],
    "another message": [ON, record(b"\2" + MESSAGE[1:])],
    "a hello of SSL 2": [ON, V2],
    "TLS in a CONNECT": [ON, get("good.test:443", method="CONNECT",
                                 target="good.test:443") + hello(OTHER)],
    "no TLS": [ON, b"SSH-2.0-good.test\r\n"],
    # the beginning is let on
    "behind a head of HTTP": [FINE, ON, hello(OTHER)],
    "a second hello": [hello(GOOD), ON, hello(OTHER)],
    "a second hello, retried for": [hello(GOOD), WAIT, ON, hello(OTHER)],
    "a second hello, without a name": [hello(GOOD), ON, hello()],
    "a second hello behind a change of cipher":
        [hello(GOOD), SWITCH, ON, hello(OTHER)],
    "a second hello behind early data":
        [hello(GOOD, more=extension(42, b"")), record(b"early", 23), ON,
         hello(OTHER)],
    "HTTP behind a hello": [hello(GOOD), ON, WRONG],
}

CLEAR = {
    "a host": [FINE],
    "a host, upper case": [get("GOOD.TEST")],
    "a host with its port": [get("good.test:80")],
    "absolute form": [get("good.test", target="http://good.test/")],
    "a request and another": [FINE + FINE],
    "TLS on port 80": [hello(GOOD)],
    "another host": [ON, WRONG],
    "another host, one-byte segments": [ON, *each_byte(WRONG)],
    "no host": [ON, get(None)],
    "no host, HTTP/1.0": [ON, get(None, version="1.0")],
    "an empty host": [ON, get("")],
    "an address for a host": [ON, get("203.0.113.20")],
    "an IPv6 address for a host": [ON, get("[2001:db8:113::20]")],
    "an address as one number": [ON, get("3405803796")],
    "a host with another port": [ON, get("good.test:8000")],
    "a host with a dot": [ON, get("good.test.")],
    "two hosts": [ON, get("good.test", "Host: other.test")],
    "two hosts, the good one last": [ON, get("other.test", "Host: good.test")],
    "the same host twice": [ON, get("good.test", "host: good.test")],
    "two hosts in a line": [ON, get("good.test, other.test")],
    "a blank and a host": [ON, get("good.test other.test")],
    "a user in front": [ON, get("good.test@other.test")],
    "a password in front": [ON, get("good.test:80@other.test")],
    "a NUL in a host": [ON, get("good.test\0.other.test")],
    "absolute form of another":
        [ON, get("good.test", target="http://other.test/")],
    "absolute form, another host":
        [ON, get("other.test", target="http://good.test/")],
    "absolute form and host of another":
        [ON, get("other.test", target="http://other.test/")],
    "absolute form with a user":
        [ON, get("good.test", target="http://good.test@other.test/")],
    "absolute form without a host":
        [ON, get(None, target="http://good.test/")],
    "absolute form of https":
        [ON, get("good.test", target="https://good.test/")],
    "a host folded": [ON, h("GET / HTTP/1.1", "Host: good.test",
                            " other.test")],
    "a host on the next line": [ON, h("GET / HTTP/1.1", "Host:",
                                      " good.test")],
    "a folded line that is a host": [ON, h("GET / HTTP/1.1", "X: y",
                                           "\tHost: other.test",
                                           "Host: good.test")],
    "a folded first line": [ON, h("GET / HTTP/1.1", " Host: other.test",
                                  "Host: good.test")],
    "a blank before the colon": [ON, h("GET / HTTP/1.1", "Host : other.test",
                                       "Host: good.test")],
    "a bare LF": [ON, b"GET / HTTP/1.1\nHost: good.test\n\n"],
    "a host behind a bare LF":
        [ON, get("good.test", "X: y\nHost: other.test")],
    "a host behind a bare CR":
        [ON, get("good.test", "X: y\rHost: other.test")],
    "an empty line in front": [ON, b"\r\n" + FINE],
    "two blanks": [ON, get("good.test", target=" /")],
    "a method in lower case": [ON, get("good.test", method="get")],
    "HTTP/0.9": [ON, b"GET /\r\n"],
    "HTTP/2.0 in the line": [ON, get("good.test", version="2.0")],
    "HTTP/2 for another": [ON, PREFACE + SETTINGS +
                           h2((b":authority", OTHER))],
    "HTTP/2, a host of another": [ON, PREFACE + SETTINGS + h2(
        (b"host", OTHER))],
    "HTTP/2 without a name": [ON, PREFACE + SETTINGS + h2()],
    "HTTP/2 for two": [ON, PREFACE + SETTINGS + h2(
        (b":authority", GOOD), (b"host", OTHER))],
    "HTTP/2, data at once": [ON, PREFACE + SETTINGS +
                             b"\0\0\1\0\1\0\0\0\1x" + h2(
                                 (b":authority", GOOD))],
    "an upgrade to h2c with a body": [ON, get("good.test", *H2C,
                                              "Content-Length: 3") + b"abc"],
    "an upgrade to h2c without settings": [ON, get("good.test", *H2C[:2])],
    "settings of h2c alone": [ON, get("good.test", "HTTP2-Settings: AAMA")],
    "an upgrade to TLS": [ON, get("good.test", "Upgrade: TLS/1.0",
                                  "Connection: Upgrade")],
    "an upgrade to two": [ON, get("good.test", "Upgrade: websocket, h2c",
                                  "Connection: Upgrade")],
    "an upgrade with a body": [ON, get("good.test", *WEBSOCKET,
                                       "Content-Length: 3") + b"abc"],
    "CONNECT": [ON, get("good.test:80", method="CONNECT",
                        target="good.test:80") + WRONG],
    "a length and chunks": [ON, post("Content-Length: 4",
                                     "Transfer-Encoding: chunked") +
                            b"0\r\n\r\n" + WRONG],
    "chunks and a length": [ON, post("Transfer-Encoding: chunked",
                                     "Content-Length: 4") + b"0\r\n\r\n" +
                            WRONG],
    "two lengths": [ON, post("Content-Length: 0", "Content-Length: 60") +
                    WRONG],
    "two lengths in a line": [ON, post("Content-Length: 0, 60") + WRONG],
    "a length with a sign": [ON, post("Content-Length: +0") + WRONG],
    "a length in hexadecimal": [ON, post("Content-Length: 0x3c") + WRONG],
    "a length without end": [ON, post("Content-Length: 1" + "0" * 30)],
    "an unknown coding": [ON, post("Transfer-Encoding: xchunked") + WRONG],
    "two codings": [ON, post("Transfer-Encoding: chunked, identity") + WRONG],
    "two fields of codings": [ON, post("Transfer-Encoding: chunked",
                                       "Transfer-Encoding: identity") +
                              WRONG],
    "a coding with a control": [ON, post("Transfer-Encoding: \vchunked") +
                                WRONG],
    "chunks of HTTP/1.0": [ON, get("good.test", "Transfer-Encoding: chunked",
                                   version="1.0", method="POST") +
                           b"0\r\n\r\n" + WRONG],
    "64 KiB without a host": [ON, b"GET / HTTP/1.1\r\n" +
                              b"X: %s\r\n" % (b"y" * 1000) * 66],
    # the beginning is let on
    "a second request for another": [FINE, WAIT, ON, WRONG],
    "a second request at once": [FINE, ON, WRONG],
    "a third of four in a segment": [FINE + FINE, ON, WRONG + FINE],
    "a second request without a host": [FINE, WAIT, ON, get(None)],
    "a second request with two": [FINE, WAIT, ON,
                                  get("good.test", "Host: other.test")],
    "a second in absolute form": [FINE, WAIT, ON,
                                  get("good.test",
                                      target="http://other.test/")],
    "a second of HTTP/2": [FINE, WAIT, ON, b"PRI * HTTP/2.0\r\n\r\nSM\r\n"
                           b"\r\n"],
    "one behind the last": [get("good.test", "Connection: close"), ON, WRONG],
    "one behind a body": [post("Content-Length: 5") + b"hello", ON, WRONG],
    "one behind a body of HTTP/1.0": [get(
        "good.test", "Content-Length: 5", "Connection: keep-alive",
        method="POST", version="1.0") + b"hello", ON, WRONG],
    "one behind chunks": [post("Transfer-Encoding: chunked") +
                          b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", ON, WRONG],
    "chunks that end with LF": [post("Transfer-Encoding: chunked"), ON,
                                b"5\nhello\r\n0\r\n\r\n" + WRONG],
    "chunks with a sign": [post("Transfer-Encoding: chunked"), ON,
                           b"+0\r\n\r\n" + WRONG],
    "chunks of 2^64": [post("Transfer-Encoding: chunked"), ON,
                       b"10000000000000000\r\n" + WRONG],
    "a chunk that goes on": [post("Transfer-Encoding: chunked") +
                             b"5\r\nhello", ON, b"GET / HTTP/1.1\r\n" + WRONG],
    "an upgrade that is ignored": [get("good.test", *WEBSOCKET), WAIT, ON,
                                   WRONG],
    "an upgrade, not waited for": [get("good.test", *WEBSOCKET), ON, WRONG],
    "an upgrade to h2c that is ignored": [get("good.test", *H2C), WAIT, ON,
                                          WRONG],
    "an upgrade to h2c that is taken": [
        get("good.test", *H2C, target="/switch"), WAIT, ON, PREFACE],
    "HTTP/2 behind an upgrade that is ignored": [get("good.test", *H2C), WAIT,
                                                 ON, PREFACE],
    "a later upgrade": [FINE, WAIT, ON, get("good.test", *WEBSOCKET)],
    "TLS behind a request": [FINE, WAIT, ON, hello(OTHER)],
}

TABLE = {**{k: (443, v) for k, v in TLS.items()},
         **{k: (80, v) for k, v in CLEAR.items()}}


def answers(got):
    hosts = re.findall(rb"HTTP (\S+)\n", got)
    return b",".join(hosts).decode() or ("tls" if got[:1] in (b"\x15", b"\x16")
                                         else "-")


def said(s, pieces):
    got, on, allowed, wait = b"", False, b"", False
    s.settimeout(PATIENCE)
    try:
        for piece in pieces:
            if piece == ON:
                on = True
            elif piece == WAIT:
                got += s.recv(65536)
            else:
                s.sendall(piece)
                allowed += b"" if on else piece
                if len(piece) == 1:
                    time.sleep(0.001)
        # Where it is let on the answer is enough.
        while more := s.recv(65536):
            got += more
            if not on and (got.count(b"\n") >= 4 * pieces[0].count(b"GET") or
                           got[:1] in (b"\x15", b"\x16")):
                return "open", got, allowed
        end = "fin"
    except TimeoutError:
        end = "late"
    except OSError:
        end = "reset"
    return end, got, allowed


def connected(address, port):
    s = socket.create_connection((address, port), PATIENCE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def say(address, name):
    port, pieces = TABLE[name]
    try:
        s = connected(address, port)
    except OSError as e:
        return type(e).__name__ + " - "
    end, got, allowed = said(s, pieces)
    s.close()
    return f"{end} {answers(got)} {allowed.hex()}"


def names():
    return ";".join(TABLE)


def main():
    for line in sys.stdin:
        verb, *words = line.rstrip("\n").split(" ", 2)
        print(globals()[verb](*words), flush=True)


if __name__ == "__main__":
    main()
