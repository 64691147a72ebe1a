#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
#
# receiver.py PORT LOG SCRIPT [ADDRESS,...]: an HTTP server that writes each request as a
# line of JSON to LOG and answers what the file SCRIPT says at that moment: a
# JSON array of answers, of which the n-th request gets the n-th, and the last
# is given again and again. An answer may have "status", "body", "headers",
# "delay" (seconds before it), "close" (end the connection instead), "repeat"
# (the body that many times) and "etag": then If-None-Match with that tag is
# held for as long as "Prefer: wait=N" says, or until SCRIPT changes, and then
# answered 304 or what SCRIPT says by now.
import asyncio
import json
import re
import sys
import time

from aiohttp import web

port, log, script = int(sys.argv[1]), sys.argv[2], sys.argv[3]
count = 0


def current():
    with open(script) as f:
        answers = json.load(f)
    return answers[min(count, len(answers)) - 1]


async def handle(request):
    global count
    body = await request.read()
    count += 1
    with open(log, "a") as f:
        f.write(json.dumps({
            "method": request.method, "path": request.raw_path,
            "headers": {k.lower(): v for k, v in request.headers.items()},
            "body": body.decode("utf-8", "replace"),
            "time": time.monotonic()}) + "\n")
    answer = current()
    match = request.headers.get("If-None-Match")
    if answer.get("etag") and match == answer["etag"]:
        wait = re.search(r"wait=(\d+)", request.headers.get("Prefer", ""))
        end = time.monotonic() + (int(wait.group(1)) if wait else 0)
        while time.monotonic() < end and current().get("etag") == match:
            await asyncio.sleep(0.02)
        answer = current()
        if answer.get("etag") == match:
            return web.Response(status=304, headers={"ETag": match})
    await asyncio.sleep(answer.get("delay", 0))
    if answer.get("close"):
        request.transport.abort()
        return web.Response()
    headers = dict(answer.get("headers", {}))
    if answer.get("etag"):
        headers["ETag"] = answer["etag"]
    text = answer.get("body", "") * answer.get("repeat", 1)
    return web.Response(status=answer.get("status", 200), headers=headers,
                        body=text.encode())


app = web.Application(client_max_size=64 << 20)
app.router.add_route("*", "/{tail:.*}", handle)
addresses = sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1"
web.run_app(app, host=addresses.split(","), port=port, print=None,
            access_log=None, handle_signals=True)
