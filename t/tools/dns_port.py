#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ask a resolver from source ports that somebody else used before.

usage: dns_port.py port|raw ADDRESS QUESTION_HEX PORT...

port: bind each and print "answered CODE" for what comes back, CODE being the
DNS response code. raw: send the same through a raw socket, which needs no
port of its own, and CAP_NET_RAW. Ends with a line "done".
"""
import socket
import struct
import sys

how, address, question = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
ports = [int(port) for port in sys.argv[4:]]

if how == "port":
    for port in ports:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(1)
        try:
            s.bind(("", port))
            s.sendto(question, (address, 53))
            print("answered", s.recv(512)[3] & 15)
        except OSError as e:
            print("port", port, e)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    for port in ports:
        packet = struct.pack("!HHHH", port, 53, 8 + len(question), 0)
        try:
            s.sendto(packet + question, (address, 0))
        except OSError as e:
            print("port", port, e)
print("done")
