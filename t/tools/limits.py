# SPDX-License-Identifier: Apache-2.0
#
# Connections to count.
#
#   limits.py serve ADDRESS PORT     TCP: "get N" is answered with N bytes, "put"
#                                    with how many came; anything else is held
#   limits.py hold ADDRESS PORT N    open N, say how many did, keep them
#   limits.py open ADDRESS PORT N    open N one after the other and close each
#   limits.py get ADDRESS PORT N     fetch N bytes, say how many came
#   limits.py flood ADDRESS PORT N   send N datagrams of 1,000 bytes
#   limits.py raw ADDRESS PORT N     the same by a raw socket

import socket
import socketserver
import struct
import sys
import time


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        word = self.rfile.readline().split()
        if word and word[0] == b"get":
            self.wfile.write(b"x" * int(word[1]))
        elif word:
            self.rfile.read()


def connect(to, timeout=5):
    s = socket.create_connection(to, timeout)
    s.settimeout(timeout)
    return s


def hold(to, n):
    kept, refused = [], 0
    for _ in range(n):
        try:
            kept.append(connect(to))
        except ConnectionRefusedError:
            refused += 1
    print(f"open {len(kept)} refused {refused}", flush=True)
    time.sleep(600)


def open_many(to, n):
    begin, opened, refused = time.monotonic(), 0, 0
    for _ in range(n):
        try:
            connect(to).close()
            opened += 1
        except ConnectionRefusedError:
            refused += 1
    print(f"open {opened} refused {refused} in {time.monotonic() - begin:.3f}")


def get(to, n):
    came = 0
    try:
        with connect(to, 2) as s:
            s.sendall(b"get %d\n" % n)
            while came < n:
                data = s.recv(65536)
                if not data:
                    break
                came += len(data)
        print(f"got {came}")
    except OSError as e:
        print(f"got {came}, then {type(e).__name__}")


def flood(to, n, kind=socket.SOCK_DGRAM, protocol=0, header=b""):
    begin, refused = time.monotonic(), 0
    with socket.socket(socket.AF_INET, kind, protocol) as s:
        for _ in range(n):
            try:
                s.sendto(header + b"x" * 1000, to)
            except OSError:
                refused += 1
    print(f"sent {n - refused} refused {refused} in {time.monotonic() - begin:.3f}")


def raw(to, n):
    flood(to, n, socket.SOCK_RAW, socket.IPPROTO_UDP,
          struct.pack("!4H", 5000, to[1], 1008, 0))


def main():
    do, address, port = sys.argv[1:4]
    to = (address, int(port))
    if do == "serve":
        Server(to, Handler).serve_forever()
    {"hold": hold, "open": open_many, "get": get, "flood": flood, "raw": raw}[do](
        to, int(sys.argv[4]))


main()
