#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fake_engine.py SOCKET

A container engine as far as opensandbox-discovery asks it: a list, events, and
inspections. PUT /control/ID with what an inspection is to say starts or changes
a container, DELETE ends it; an event tells of each.
"""
import json
import os
import queue
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler

lock = threading.Lock()
containers = {}
listeners = set()


def tell(action, name, container):
    event = {"Type": "container", "Action": action, "status": action,
             "id": name, "Actor": {
                 "ID": name, "Attributes": container["Config"]["Labels"]}}
    for listener in listeners:
        listener.put(json.dumps(event).encode() + b"\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def answer(self, status, body=None):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def events(self):
        mine = queue.Queue()
        with lock:
            listeners.add(mine)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                event = mine.get()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        except OSError:
            with lock:
                listeners.discard(mine)

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[-1] == "events":
            return self.events()
        with lock:
            if parts[-1] == "json" and parts[-2] == "containers":
                return self.answer(200, [{"Id": name} for name in containers])
            found = containers.get(parts[-2])
        if found is None:
            return self.answer(404, {"message": "no such container"})
        self.answer(200, found)

    def do_PUT(self):
        name = self.path.split("/")[-1]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            containers[name] = {"Id": name, **body}
            tell("start", name, body)
        self.answer(200, {})

    def do_DELETE(self):
        name = self.path.split("/")[-1]
        with lock:
            tell("destroy", name, containers.pop(name))
        self.answer(200, {})


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
Server(sys.argv[1], Handler).serve_forever()
