# SPDX-License-Identifier: Apache-2.0
"""A TLS 1.3 client that gives one name, and another after a
HelloRetryRequest (RFC 8446, 4.1.4), which asks for its key share.

usage: hello_retry.py ADDRESS PORT FIRST SECOND

Prints what came of each ClientHello: "retry", "hello", "reset", ...
"""
import os
import socket
import struct
import sys

P256 = 0x0017
SERVER_HELLO = 2
# The random of a ServerHello that asks for another ClientHello.
RETRY = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891"
                      "C2A211167ABB8C5E079E09E2C8A8339C")
# Some point of the curve: its generator.
POINT = bytes.fromhex(
    "04"
    "6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
    "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5")


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def extension(number, data):
    return struct.pack("!H", number) + vector(2, data)


def client_hello(name, random, session, share):
    extensions = b"".join([
        extension(0, vector(2, b"\0" + vector(2, name.encode()))),
        extension(10, vector(2, struct.pack("!H", P256))),
        extension(13, vector(2, bytes.fromhex("0403080408050401"))),
        extension(43, vector(1, b"\x03\x04")),
        extension(51, vector(2, share)),
    ])
    body = (b"\x03\x03" + random + vector(1, session) +
            vector(2, b"\x13\x01\x13\x02\x13\x03") + vector(1, b"\0") +
            vector(2, extensions))
    return b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))


def answer(s):
    data = b""
    try:
        while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
            piece = s.recv(65536)
            if not piece:
                return "end"
            data += piece
    except ConnectionResetError:
        return "reset"
    if data[0] == 0x15:
        return "alert"
    if data[0] != 0x16 or data[5] != SERVER_HELLO:
        return data[:6].hex()
    return "retry" if data[11:43] == RETRY else "hello"


def main(address, port, first, second):
    random, session = os.urandom(32), os.urandom(32)
    s = socket.create_connection((address, int(port)), 20)
    s.sendall(client_hello(first, random, session, b""))
    said = [answer(s)]
    if said[0] == "retry":
        share = struct.pack("!H", P256) + vector(2, POINT)
        try:
            s.sendall(b"\x14\x03\x03\0\x01\x01" +
                      client_hello(second, random, session, share))
            said.append(answer(s))
        except (ConnectionResetError, BrokenPipeError):
            said.append("reset")
    print(*said)


main(*sys.argv[1:])
