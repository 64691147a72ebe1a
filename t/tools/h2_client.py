#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask for several hosts over one connection of HTTP/2 in clear.

h2_client.py ADDRESS PORT HOST...: a line each, the answer or how it ended;
"a|b" asks for both at once.
"""
import socket
import sys

import h2.connection
import h2.events


def ask(conn, sock, hosts):
    streams = {}
    for host in hosts:
        stream = conn.get_next_available_stream_id()
        streams[stream] = b""
        conn.send_headers(stream, [
            (":method", "GET"), (":scheme", "http"), (":authority", host),
            (":path", "/")], end_stream=True)
    sock.sendall(conn.data_to_send())
    left = len(hosts)
    while left:
        data = sock.recv(65536)
        if not data:
            return "closed"
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                streams[event.stream_id] += event.data
            if isinstance(event, (h2.events.StreamEnded,
                                  h2.events.StreamReset)):
                left -= 1
        sock.sendall(conn.data_to_send())
    return "|".join(sorted(b.decode().strip() for b in streams.values()))


def main():
    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    sock.settimeout(15)
    conn = h2.connection.H2Connection()
    conn.initiate_connection()
    for hosts in sys.argv[3:]:
        try:
            print(ask(conn, sock, hosts.split("|")), flush=True)
        except ConnectionError:
            print("reset", flush=True)
            break


main()
