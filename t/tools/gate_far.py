#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The far end of the gate's hostile tests: one address that serves good.test
and other.test, each with its own certificate, HTTP in clear, and an echo. It
writes down every byte that it is given.

    gate_far.py FOLDER RECORD ADDRESS...

FOLDER has NAME.crt and NAME.key. A line of RECORD is "PORT PEER_PORT HEX", of
a connection that was accepted without HEX. In clear, a request for /slow is
answered late, one for /rst with a reset, and one for /switch with 101.
"""
import asyncio
import re
import socket
import ssl
import struct
import sys

NAMES = ("good.test", "other.test")
SLOW = 1

folder, record = sys.argv[1:3]
log = open(record, "a", buffering=1)
contexts = {}
for each in NAMES:
    contexts[each] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts[each].load_cert_chain(f"{folder}/{each}.crt",
                                   f"{folder}/{each}.key")


def chosen(connection, name, _):
    connection.context = contexts.get((name or "").lower(),
                                      contexts["other.test"])


contexts["other.test"].sni_callback = chosen


class Recorder(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        self.peer = transport.get_extra_info("peername")[1]
        self.buffer = b""
        log.write(f"{self.port} {self.peer}\n")

    def data_received(self, data):
        log.write(f"{self.port} {self.peer} {data.hex()}\n")
        self.take(data)

    def take(self, data):
        self.transport.write(data)


class Web(Recorder):
    """Answers each head with the Host that it read, and switches nothing."""

    def take(self, data):
        if data[:1] == b"\x16":
            self.transport.write(b"\x15\3\1\0\2\2\x28")
            return
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            self.buffer = self.buffer[int(length[1]) if length else 0:]
            self.request(head)

    def request(self, head):
        hosts = re.findall(rb"(?im)^host: *([^\r\n]*)", head)
        body = b"HTTP %s\n" % (hosts[-1] if hosts else b"-")
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        if b" /rst" in head:
            s = self.transport.get_extra_info("socket")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        if b" /switch" in head:
            answer, body = b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b""
        asyncio.get_running_loop().call_later(
            SLOW if b" /slow" in head else 0, self.transport.write,
            answer + body)


class Secure(Recorder):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = contexts["other.test"].wrap_bio(self.come, self.go,
                                                   server_side=True)

    def take(self, data):
        self.come.write(data)
        try:
            self.tls.do_handshake()
            while piece := self.tls.read(65536):
                self.buffer += piece
                if b"\r\n\r\n" in self.buffer:
                    self.buffer = b""
                    self.tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
                                   b"\r\nTLS\n")
        except ssl.SSLError:
            pass
        self.transport.write(self.go.read())


async def main():
    loop = asyncio.get_running_loop()
    for address in sys.argv[3:]:
        for port, kind in ((443, Secure), (80, Web), (8000, Recorder)):
            await loop.create_server(kind, address, port, backlog=4096)
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
