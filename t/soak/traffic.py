# SPDX-License-Identifier: Apache-2.0
"""Mixed traffic for a gateway: requests, WebSockets, streams, every error that
the gateway answers by itself, and changes of its records, all at a time.

usage: traffic.py GATEWAY_PORT APP_PORT DEAD_PORT SECONDS

Prints a JSON object: how often each kind came out as it must, and examples of
what did not.
"""
import asyncio
import collections
import json
import random
import sys
import time

import aiohttp

GATEWAY = f"http://127.0.0.1:{sys.argv[1]}"
APP, DEAD = sys.argv[2], sys.argv[3]
END = time.monotonic() + float(sys.argv[4])
RECORDS = 2000
AT_A_TIME = {"http": 6, "large": 2, "websocket": 4, "stream": 4, "error": 4,
             "api": 4}

right = collections.Counter()
wrong = []


def note(kind, ok, what):
    if ok:
        right[kind] += 1
    elif len(wrong) < 20:
        wrong.append(f"{kind}: {what}")


async def http(session):
    path = f"/sandboxes/app/port/{APP}/a%2Fb?n={random.randrange(1000)}"
    async with session.get(GATEWAY + path) as answer:
        body = await answer.json()
        note("http", answer.status == 200
             and body["target"] == path.split(APP, 1)[1], path)


async def large(session):
    body = b"x" * random.randrange(100_000, 2_000_000)
    async with session.post(GATEWAY + f"/sandboxes/app/port/{APP}/",
                            data=body) as answer:
        got = await answer.json()
        note("large", len(got["body"]) == len(body), len(body))


async def websocket(session):
    url = GATEWAY + f"/sandboxes/app/port/{APP}/ws"
    async with session.ws_connect(url) as socket:
        for n in range(random.randrange(1, 20)):
            text = str(n) * random.randrange(1, 5000)
            await socket.send_str(text)
            got = await socket.receive_str(timeout=20)
            note("websocket", got == text, n)
            await asyncio.sleep(0.01)


async def stream(session):
    url = GATEWAY + f"/sandboxes/app/port/{APP}/stream"
    async with session.get(url) as answer:
        body = await answer.text()
        note("stream", body.count("data:") == 10, body)


ERRORS = [
    (f"/sandboxes/app/port/{DEAD}/", {}, 502),
    (f"/sandboxes/app/port/{APP}/drop", {}, 502),
    ("/sandboxes/app/port/1/", {}, 403),
    ("/sandboxes/app/port/065/", {}, 400),
    (f"/sandboxes/nobody/port/{APP}/", {}, 404),
    (f"/sandboxes/secret/port/{APP}/", {}, 401),
    (f"/sandboxes/secret/port/{APP}/",
     {"OpenSandbox-Secure-Access": "wrong"}, 401),
    (f"/sandboxes/secret/port/{APP}/",
     {"OpenSandbox-Secure-Access": "hush"}, 200),
    (f"/sandboxes/old/port/{APP}/", {}, 410),
    (f"/sandboxes/asleep/port/{APP}/", {}, 503),
]


async def error(session):
    path, headers, status = random.choice(ERRORS)
    async with session.get(GATEWAY + path, headers=headers) as answer:
        await answer.read()
        note("error", answer.status == status,
             f"{path} {answer.status} for {status}")


def record():
    return {"endpoint": f"10.1.{random.randrange(256)}.{random.randrange(256)}",
            "expose": [8000, "8080-8090"],
            "accessToken": "t" * random.randrange(1, 64),
            "policy": {"egress": [
                {"action": "allow", "target": f"n{n}.test"}
                for n in range(random.randrange(20))]}}


async def api(session):
    url = f"{GATEWAY}/v1/sandboxes/box-{random.randrange(RECORDS)}"
    method = random.choice(["PUT", "PUT", "PATCH", "DELETE", "GET"])
    body = record() if method == "PUT" else {"ready": True}
    async with session.request(method, url, json=body) as answer:
        await answer.read()
        note("api", answer.status in (200, 201, 204, 404),
             f"{method} {answer.status}")


async def go_on(kind, session):
    while time.monotonic() < END:
        try:
            await globals()[kind](session)
        except Exception as failure:
            note(kind, False, f"{type(failure).__name__}: {failure}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.02)


async def main():
    async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=30)) as session:
        named = [
            ("app", {"expose": [int(APP), int(DEAD), 65]}),
            ("secret", {"accessToken": "hush"}),
            ("old", {"expiresAt": "2001-01-01T00:00:00Z"}),
            ("asleep", {"ready": False}),
        ]
        for name, more in named:
            async with session.put(f"{GATEWAY}/v1/sandboxes/{name}", json={
                    "endpoint": "127.0.0.1", **more}) as answer:
                note("api", answer.status == 201, await answer.text())
        for n in range(0, RECORDS, 2):
            async with session.put(f"{GATEWAY}/v1/sandboxes/box-{n}",
                                   json=record()) as answer:
                note("api", answer.status == 201, await answer.text())
        await asyncio.gather(*[
            go_on(kind, session)
            for kind, times in AT_A_TIME.items() for _ in range(times)])

asyncio.run(main())
print(json.dumps({"right": right, "wrong": wrong}))
