# SPDX-License-Identifier: Apache-2.0
"""A small web application: what runs inside a sandbox.

usage: app.py ADDRESS PORT [NAME]

/ws echoes WebSocket messages; /stream sends ten pieces, one after another;
/drop ends the connection in the middle of an answer; every other path answers
with what arrived, as JSON.
"""
import asyncio
import sys

from aiohttp import WSMsgType, web

NAME = sys.argv[3] if len(sys.argv) > 3 else "sandbox"


async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def show(request):
    body = await request.text()
    return web.json_response({
        "app": NAME,
        "method": request.method,
        "target": request.raw_path,
        "headers": [[k, v] for k, v in request.headers.items()],
        "body": body,
    })


async def stream(request):
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for n in range(10):
        await answer.write(f"data: {n}\n\n".encode())
        await asyncio.sleep(0.02)
    return answer


async def drop(request):
    request.transport.close()
    return web.Response()


app = web.Application(client_max_size=1 << 26)
app.router.add_get("/ws", echo)
app.router.add_get("/stream", stream)
app.router.add_get("/drop", drop)
app.router.add_route("*", "/{path:.*}", show)
web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None)
