#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fake_gateway.py PORT|/SOCKET LOG

What the gateway's management API says to a feeder, and what it would say in
trouble. Each request is a JSON line in LOG: method, path, source, body, token.
PUT /control sets, and answers: {"token": T, "bad": [IDs], "taken": [IDs that
another source has], "status": S for every PUT, "slow": seconds, "forget": true}.
"""
import json
import os
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

lock = threading.RLock()
log = open(sys.argv[2], "a", buffering=1)
state = {"records": {}, "fed": False, "bad": [], "taken": [], "status": 0,
         "slow": 0, "token": None}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = False

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def answer(self, status, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle_request(self):
        length = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(length).decode()
        url = urlsplit(self.path)
        source = parse_qs(url.query).get("source", [None])[0]
        body = json.loads(text) if text else None
        if url.path == "/control":
            with lock:
                state.update(body)
                if body.get("forget"):
                    state.update({"records": {}, "fed": False})
            return self.answer(200, state)
        with lock:
            log.write(json.dumps({
                "method": self.command, "path": url.path, "source": source,
                "body": body, "client": self.client_address,
                "token": self.headers.get("Authorization")}) + "\n")
        if state["slow"]:
            time.sleep(state["slow"])
        with lock:
            self.answer(*self.judge(url.path, source, body))

    def judge(self, path, source, body):
        token = state["token"]
        if token and self.headers.get("Authorization") != "Bearer " + token:
            return 401, {"code": "unauthorized", "message": "no token"}
        if path.startswith("/v1/sources/"):
            return (200, {"source": source}) if state["fed"] else (404, {})
        if state["status"] and self.command == "PUT":
            return state["status"], {"code": "x", "message": "as told"}
        if path == "/v1/sandboxes":
            return self.whole(body)
        return self.one(path.rsplit("/", 1)[1], body)

    def whole(self, body):
        for i, record in enumerate(body):
            if record["id"] in state["bad"]:
                return 400, {"code": "bad_request", "message": "is bad",
                             "field": "[%d].endpoint" % i}
        mine = {r["id"]: r for r in body if r["id"] not in state["taken"]}
        state["records"], state["fed"] = mine, True
        return 200, {"added": len(mine), "changed": 0, "removed": 0,
                     "unchanged": 0,
                     "conflicts": [r["id"] for r in body
                                   if r["id"] in state["taken"]]}

    def one(self, name, body):
        if name in state["taken"]:
            return 409, {"code": "conflict", "message": "another source's"}
        if self.command == "DELETE":
            known = state["records"].pop(name, None)
            return (204, None) if known else (404, {})
        if name in state["bad"]:
            return 400, {"code": "bad_request", "message": "is bad",
                         "field": "endpoint"}
        state["records"][name] = body
        return 200, body

    do_GET = do_PUT = do_DELETE = handle_request


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


where = sys.argv[1]
if where.startswith("/"):
    if os.path.exists(where):
        os.unlink(where)
    server = Unix(where, Handler)
else:
    server = Tcp(("127.0.0.1", int(where)), Handler)
server.serve_forever()
