#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
#
# kube_api.py PORT CONTROL CERT KEY CLIENT_CA TOKEN: a Kubernetes API server on
# 127.0.0.1 for tests, written from the API's documentation. It discovers,
# lists and watches pods, batchsandboxes and sandboxes; nobody changes them but
# who speaks to CONTROL, a unix socket: a JSON array a line with the name of a
# Control method and its arguments, answered by a line of JSON.
import asyncio
import json
import random
import re
import sys
import time
from urllib.parse import parse_qsl, unquote, urlsplit

import kube_http
from kube_store import (BadRequest, Gone, RESOURCES, Store, field_selector,
                        selector, token_make, token_read)

JSON = {"content-type": "application/json"}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden",
           404: "NotFound", 405: "MethodNotAllowed", 410: "Expired",
           429: "TooManyRequests", 500: "InternalError",
           503: "ServiceUnavailable", 504: "Timeout"}
PATH = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
                  r"(?:/namespaces/(?P<namespace>[^/]+))?"
                  r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?")


def status(code, message, **metadata):
    return {"kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": message,
            "reason": REASONS.get(code, "Unknown"), "code": code}


class Query:
    """What a list's or watch's path and parameters ask for."""

    def __init__(self, match, query):
        self.resource = RESOURCES[match["resource"]]
        self.version = match["version"]
        self.namespace = match["namespace"]
        self.name = match["name"] and unquote(match["name"])
        self.query = query
        self.watch = query.get("watch") in ("1", "true")
        self.bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
        self.revision = self.number("resourceVersion")
        self.limit = self.number("limit") or 0
        self.timeout = self.number("timeoutSeconds")
        self.labels = selector(query.get("labelSelector", ""))
        self.fields = field_selector(query.get("fieldSelector", ""))
        self.all = not (self.namespace or query.get("labelSelector")
                        or query.get("fieldSelector"))

    def wanted(self, entry):
        return ((not self.namespace
                 or entry.key.startswith(self.namespace + "/"))
                and self.labels(entry.labels) and self.fields(entry.fields))

    def number(self, name):
        text = self.query.get(name)
        if not text:
            return None
        if not text.isdigit():
            raise BadRequest("%s: invalid value: %s" % (name, text))
        return int(text)

    @property
    def head(self):
        group = self.resource.group
        return '"apiVersion":"%s%s","kind":"%s' % (
            group and group + "/", self.version, self.resource.kind)

    def text(self, entry):
        """An object as this version has it; what is none stays as it is."""
        if not entry.text.startswith(","):
            return entry.text
        return '{%s"%s' % (self.head, entry.text)


class Watch:
    """An open watch; what is in its queue is to be sent: bytes, or END."""

    END = None

    def __init__(self, exchange, query):
        self.exchange = exchange
        self.query = query
        self.queue = asyncio.Queue()

    def changed(self, change):
        query = self.query
        if change.resource != query.resource.name:
            return
        was = bool(change.before and query.wanted(change.before))
        now = change.kind != "DELETED" and query.wanted(change.after)
        if was or now:
            kind = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
            self.event(kind, query.text(change.after))

    def event(self, kind, text):
        self.queue.put_nowait(
            ('{"type":"%s","object":%s}\n' % (kind, text)).encode())

    def bookmark(self, revision):
        # What is compiled into a real server has all that cannot be left out.
        more = "" if self.query.resource.group else ',"creationTimestamp":null'
        self.event("BOOKMARK", '{%s","metadata":{"resourceVersion":"%d"%s}}' % (
            self.query.head, revision, more))

    def error(self, code, message):
        self.event("ERROR", json.dumps(status(code, message)))
        self.queue.put_nowait(self.END)


class Api:
    def __init__(self, token):
        self.store = Store()
        self.tokens = {token: "admin"}
        self.forbidden = set()      # resources that nobody may read
        self.served = {r.name: list(r.versions) for r in RESOURCES.values()}
        self.gone_as = "status"     # or "event": how a watch learns of 410
        self.failures = []          # [pattern of targets, code, headers, left]
        self.watches = set()
        self.opened = 0             # watches since the start
        self.seen = []              # requests: dicts

    async def handle(self, exchange):
        seen = {"method": exchange.method, "target": exchange.target,
                "version": exchange.connection.version,
                "agent": exchange.headers.get("user-agent", ""),
                "accept": exchange.headers.get("accept", ""),
                "time": time.monotonic()}
        self.seen.append(seen)
        try:
            await self.route(exchange)
        except BadRequest as e:
            await self.fail(exchange, 400, str(e))
        seen["status"] = exchange.status

    async def route(self, exchange):
        url = urlsplit(exchange.target)
        failure = next((f for f in self.failures
                        if f[3] and re.search(f[0], exchange.target)), None)
        user = (exchange.connection.user
                or self.tokens.get(kube_http.bearer(exchange.headers)))
        match = PATH.fullmatch(url.path)
        resource = match and match["resource"]
        if failure:
            failure[3] -= 1
            await self.fail(exchange, failure[1], "as told", failure[2])
        elif not user:
            await self.fail(exchange, 401, "Unauthorized")
        elif exchange.method != "GET":
            await self.fail(exchange, 405, "the server reads alone")
        elif url.path in ("/healthz", "/livez", "/readyz"):
            await exchange.answer(200, {"content-type": "text/plain"}, b"ok")
        elif user == "nobody" or resource in self.forbidden:
            await self.fail(exchange, 403, '%s is forbidden: User "%s" cannot '
                            'list resource' % (resource, user))
        elif document := self.discovery(url.path):
            await self.send(exchange, 200, document)
        elif self.known(match):
            query = Query(match, dict(parse_qsl(url.query)))
            await (self.get(exchange, query) if query.name else
                   self.watch(exchange, query) if query.watch else
                   self.list(exchange, query))
        else:
            await exchange.answer(404, {"content-type": "text/plain"},
                                  b"404 page not found\n")

    def known(self, match):
        resource = match and RESOURCES.get(match["resource"])
        return (resource and (match["group"] or "") == resource.group
                and match["version"] in self.served[resource.name])

    async def send(self, exchange, code, document, headers=None):
        body = json.dumps(document, separators=(",", ":")).encode()
        await exchange.answer(code, {**JSON, **(headers or {})}, body)

    async def fail(self, exchange, code, message, headers=None, **metadata):
        document = status(code, message, **metadata)
        await self.send(exchange, code, document, headers)

    def groups(self):
        """group -> {version: resources}, preferred versions first."""
        groups = {}
        for resource in RESOURCES.values():
            for version in self.served[resource.name]:
                groups.setdefault(resource.group, {}).setdefault(
                    version, []).append(resource)
        return groups

    def discovery(self, path):
        groups = self.groups()
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0",
                    "platform": "linux/amd64"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": list(groups.get("", {}))}
        if path == "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                self.group(name, versions)
                for name, versions in groups.items() if name]}
        parts = path.split("/")[1:]
        if parts[0] == "api":
            parts.insert(1, "")
        versions = groups.get(parts[1]) if parts[0] in ("api", "apis") else None
        if versions and len(parts) == 2:
            return {"kind": "APIGroup", "apiVersion": "v1",
                    **self.group(parts[1], versions)}
        if versions and len(parts) == 3 and parts[2] in versions:
            return self.resources(parts[1], parts[2], versions[parts[2]])
        return None

    @staticmethod
    def group(name, versions):
        all_versions = [{"groupVersion": "%s/%s" % (name, v), "version": v}
                        for v in versions]
        return {"name": name, "versions": all_versions,
                "preferredVersion": all_versions[0]}

    @staticmethod
    def resources(group, version, resources):
        return {"kind": "APIResourceList", "apiVersion": "v1",
                "groupVersion": (group and group + "/") + version,
                "resources": [
                    {"name": r.name, "singularName": r.kind.lower(),
                     "namespaced": True, "kind": r.kind,
                     "verbs": ["get", "list", "watch"]} for r in resources]}

    async def get(self, exchange, query):
        entry = self.store.entries[query.resource.name].get(
            "%s/%s" % (query.namespace, query.name))
        if not entry:
            await self.fail(exchange, 404, "%s %s not found" % (
                query.resource.name, json.dumps(query.name)))
            return
        await exchange.answer(200, JSON, query.text(entry).encode())

    async def list(self, exchange, query):
        store, revision, start = self.store, self.store.revision, ""
        token = query.query.get("continue")
        exact = query.query.get("resourceVersionMatch") == "Exact"
        if token:
            if query.revision:
                raise BadRequest("specifying resource version is not allowed "
                                 "when using continue")
            revision, start = token_read(token)
            if revision < 0:
                revision = store.revision
        elif query.revision and query.revision > store.revision:
            await self.fail(exchange, 504, "Too large resource version: %d, "
                            "current: %d" % (query.revision, store.revision),
                            {"retry-after": "1"})
            return
        elif query.revision and (query.limit or exact):
            revision = query.revision
        try:
            entries, after, remain = store.page(
                query.resource.name, revision, start, query.limit,
                None if query.all else query.wanted)
        except Gone:
            # With this token a client may go on in the list of the present.
            onward = {"continue": token_make(-1, start)} if token else {}
            await self.fail(exchange, 410, "The provided continue parameter is "
                            "too old to display a consistent list result",
                            **onward)
            return
        metadata = {"resourceVersion": str(revision)}
        if query.resource.group:
            metadata["continue"] = ""   # of custom resources, always there
        if after:
            metadata["continue"] = token_make(revision, after)
        if remain:
            metadata["remainingItemCount"] = remain
        body = '{%sList","metadata":%s,"items":[%s]}\n' % (
            query.head, json.dumps(metadata),
            ",".join(query.text(entry) for entry in entries))
        await exchange.answer(200, JSON, body.encode())

    async def watch(self, exchange, query):
        watch = Watch(exchange, query)
        name = query.resource.name
        try:
            if query.revision:
                for change in self.store.changes_after(query.revision, name):
                    watch.changed(change)
            else:
                for entry in self.store.at(self.store.revision, name)[1]:
                    if query.wanted(entry):
                        watch.event("ADDED", query.text(entry))
        except Gone:
            message = "too old resource version: %d (%d)" % (
                query.revision, self.store.floor)
            if self.gone_as == "status":
                await self.fail(exchange, 410, message)
                return
            watch.error(410, message)
        self.watches.add(watch)
        self.opened += 1
        self.store.listeners.add(watch.changed)
        try:
            await exchange.start(200, JSON)
            await self.follow(watch)
            await exchange.end()
        finally:
            self.store.listeners.discard(watch.changed)
            self.watches.discard(watch)

    async def follow(self, watch):
        seconds = watch.query.timeout or random.uniform(1800, 3600)
        end = asyncio.get_running_loop().call_later(
            seconds, watch.queue.put_nowait, Watch.END)
        try:
            while data := await watch.queue.get():
                await watch.exchange.write(data)
        finally:
            end.cancel()

    def bookmarks(self):
        for watch in self.watches:
            if watch.query.bookmarks:
                watch.bookmark(self.store.revision)

    async def send_bookmarks(self):
        while True:
            await asyncio.sleep(60)
            self.bookmarks()


class Control:
    """What a test may say."""

    def __init__(self, api, server):
        self.api = api
        self.server = server
        self.store = api.store

    async def put(self, resource, key, obj):
        self.store.put(resource, key, obj)
        return self.store.revision

    async def delete(self, resource, key):
        self.store.delete(resource, key)
        return self.store.revision

    async def fill(self, resource, key, obj, count, first=0):
        """So many objects of one form: in its strings, and in the key,
        %n stands for the number and %a for an address of its own."""
        form = json.dumps([key, obj])
        for n in range(first, first + count):
            address = "10.%d.%d.%d" % (n >> 16 & 255, n >> 8 & 255, n & 255)
            key, obj = json.loads(form.replace("%n", str(n))
                                  .replace("%a", address))
            self.store.put(resource, key, obj)
            if n % 1000 == 0:
                await asyncio.sleep(0)
        return self.store.revision

    async def empty(self, resource):
        for key in list(self.store.entries[resource]):
            self.store.delete(resource, key)
        return self.store.revision

    async def compact(self, gone_as="status"):
        """Revisions up to now are 410: as an answer's status, or ("event")
        as an ERROR event of a watch that was answered 200."""
        self.api.gone_as = gone_as
        self.store.compact()

    async def error(self, code, message="as told"):
        """An ERROR event to every open watch, and its end."""
        for watch in list(self.api.watches):
            watch.error(code, message)

    async def event(self, resource, text):
        """These bytes to the open watches of a resource."""
        for watch in self.api.watches:
            if watch.query.resource.name == resource:
                watch.queue.put_nowait(text.encode())

    async def bookmark(self):
        """To every watch that asked for them, beside one a minute."""
        self.api.bookmarks()

    async def interrupt(self, how):
        """Open watches: "end" as if their time were over; "cut" in the middle
        of an event, then the connection; "abort" the connection; "freeze"
        it: it stays open, and silent for good."""
        for watch in list(self.api.watches):
            if how == "end":
                watch.queue.put_nowait(Watch.END)
            elif how == "freeze":
                watch.exchange.connection.freeze()
            else:
                if how == "cut":
                    await watch.exchange.write(b'{"type":"ADDED","object":{"ki')
                watch.exchange.abort()

    async def listen(self, on):
        """Off: the connections end and new ones are refused."""
        if on:
            await self.server.listen()
        else:
            self.server.close()

    async def pace(self, size, seconds):
        """Answers go out in pieces of size bytes (0: whole), so far apart."""
        self.server.pace = (size, seconds)

    async def fail(self, pattern, code, count, headers=None):
        """The next requests whose target matches are answered so."""
        self.api.failures.append([pattern, code, headers or {}, count])

    async def tokens(self, users):
        """Which bearer tokens count; who is nobody may do nothing."""
        self.api.tokens = users

    async def forbid(self, *resources):
        self.api.forbidden = set(resources)

    async def serve(self, resource, *versions):
        """Which versions it has, preferred first; none: it is unknown."""
        self.api.served[resource] = list(versions)

    async def certificate(self, cert, key):
        self.server.certificate(cert, key)

    async def protocols(self, *names):
        self.server.protocols(list(names))

    async def requests(self):
        """The requests since the last call."""
        seen, self.api.seen = self.api.seen, []
        return seen

    async def counts(self):
        return {"watches": len(self.api.watches),
                "opened": self.api.opened,
                "connections": len(self.server.connections),
                "accepted": self.server.accepted,
                "revision": self.store.revision,
                "objects": {k: len(v) for k, v in self.store.entries.items()}}

    async def converse(self, reader, writer):
        while line := await reader.readline():
            name, *arguments = json.loads(line)
            result = await getattr(self, name)(*arguments)
            writer.write(json.dumps(result).encode() + b"\n")
            await writer.drain()
        writer.close()


async def main(port, control, cert, key, client_ca, token):
    api = Api(token)
    server = kube_http.Server(int(port), client_ca, api.handle)
    server.certificate(cert, key)
    server.protocols(["h2", "http/1.1"])
    await server.listen()
    await asyncio.start_unix_server(Control(api, server).converse, control,
                                    limit=64 << 20)
    await api.send_bookmarks()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
