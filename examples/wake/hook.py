#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Resumes the paused container that a gateway's opensandbox_wake asks for."""
import argparse
import http.client
import http.server
import json
import socket
import urllib.parse
import urllib.request

LABEL = "opensandbox.io/id"


class Engine(http.client.HTTPConnection):
    """The API of Docker or Podman, over its socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.path)
        except OSError as error:
            raise OSError(f"{self.path}: {error.strerror}") from error

    def call(self, method, target):
        """The answer's JSON, None without any."""
        self.request(method, target)
        answer = self.getresponse()
        body = answer.read()
        if answer.status >= 300:
            raise OSError(f"{method} {target}: {answer.status} {body[:200]!r}")
        return json.loads(body) if body else None

    def resume(self, sandbox):
        """How many containers were paused; an id's case does not matter."""
        filters = urllib.parse.quote(json.dumps({"label": [LABEL]}))
        paused = [c["Id"] for c in self.call(
            "GET", f"/containers/json?all=true&filters={filters}")
            if c["Labels"][LABEL].lower() == sandbox and c["State"] == "paused"]
        for container in paused:
            self.call("POST", f"/containers/{container}/unpause")
        return len(paused)


def tell_gateway(sandbox):
    """Says that it runs, where nothing watches the engine."""
    request = urllib.request.Request(
        f"{options.gateway}/v1/sandboxes/{sandbox}", b'{"state":"running"}',
        {"Content-Type": "application/json"}, method="PATCH")
    if options.gateway_token_file:
        with open(options.gateway_token_file, encoding="ascii") as file:
            request.add_header("Authorization", f"Bearer {file.read().strip()}")
    urllib.request.urlopen(request, timeout=20).close()


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            length = min(int(self.headers.get("Content-Length", 0)), 65536)
            sandbox = json.loads(self.rfile.read(length))["sandbox_id"]
        except (ValueError, KeyError, TypeError):
            self.send_error(400, "no {\"sandbox_id\": ...}")
            return
        engine = Engine(options.engine)
        try:
            resumed = engine.resume(sandbox)
            if options.gateway:
                tell_gateway(sandbox)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.log_error("%s: %s", sandbox, error)
            self.send_error(502)
            return
        finally:
            engine.close()
        self.log_message("%s: %d resumed", sandbox, resumed)
        self.send_response(204)
        self.end_headers()


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--listen", type=address, default="127.0.0.1:9090",
                    metavar="HOST:PORT")
parser.add_argument("--engine", default="/var/run/docker.sock", metavar="SOCKET")
parser.add_argument("--gateway", metavar="URL",
                    help="its management API, to be told that a sandbox runs")
parser.add_argument("--gateway-token-file", metavar="FILE")
options = parser.parse_args()
http.server.ThreadingHTTPServer(options.listen, Hook).serve_forever()
