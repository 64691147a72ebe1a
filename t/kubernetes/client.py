#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
#
# client.py URL CA: calls of a Kubernetes API server, over a few connections
# that stay open. Each line of standard input is a JSON array of steps that go
# on side by side; a step is an array of calls, one after the other; a call is
# [token, method, path, content type, body]. The answer is a line with an array
# of arrays of [status, body] in the same form; status 0: no answer.
import asyncio
import json
import ssl
import sys

import aiohttp


async def call(session, token, method, path, kind, body):
    headers = {"Authorization": "Bearer " + token}
    if body is not None:
        headers["Content-Type"] = kind
    try:
        async with session.request(method, sys.argv[1] + path, headers=headers,
                                   data=body) as answer:
            return [answer.status, await answer.text()]
    except aiohttp.ClientError as e:
        return [0, str(e)]


async def step(session, calls):
    return [await call(session, *c) for c in calls]


async def main():
    context = ssl.create_default_context(cafile=sys.argv[2])
    connector = aiohttp.TCPConnector(limit=8, ssl=context)
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(connector=connector) as session:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            answers = await asyncio.gather(
                *(step(session, calls) for calls in json.loads(line)))
            print(json.dumps(answers), flush=True)


asyncio.run(main())
