#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fake_engine.py /SOCKET FOLDER

A container engine in trouble, told by files in FOLDER that are read at each
request: list (its text), ID.json (an inspection: its text, or "500", or "drop"
to end the connection without an answer); events (lines, sent as they are
appended; the line "END" ends the answer); log (written: a request's path each).
"""
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

folder = sys.argv[2]
log = open(folder + "/log", "a", buffering=1)


def read(name):
    try:
        with open(os.path.join(folder, name)) as f:
            return f.read()
    except OSError:
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def piece(self, text):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def do_GET(self):
        path = urlsplit(self.path).path
        log.write(path + "\n")
        if path == "/events":
            return self.events()
        if path == "/containers/json":
            return self.answer(200, read("list") or "[]")
        text = read(path.split("/")[2] + ".json")
        if text == "drop":
            self.close_connection = True
        elif text == "500":
            self.answer(500, '{"message":"in trouble"}')
        elif text is None:
            self.answer(404, '{"message":"no such container"}')
        else:
            self.answer(200, text)

    def events(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while True:
            lines = (read("events") or "").splitlines()
            for line in lines[sent:]:
                if line == "END":
                    return self.piece(b"")
                self.piece(line.encode() + b"\n")
            sent = len(lines)
            time.sleep(0.02)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


Server(sys.argv[1], Handler).serve_forever()
