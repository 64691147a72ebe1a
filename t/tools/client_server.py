#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the gate's clients talk to, behind nginx or by itself.

usage: client_server.py FOLDER ADDRESS

127.0.0.1:9000    HTTP, behind nginx: /upload, /events, /ws, /page, /report, and
                  /git/NAME of FOLDER/git, to push to as well
ADDRESS:25, :587  SMTP with STARTTLS; mails go to FOLDER/mails
ADDRESS:5432      SSLRequest of PostgreSQL, and one echo
ADDRESS:80        agrees to h2c; what comes behind goes to FOLDER/behind
FOLDER has server.crt and server.key, and FOLDER/page.html, the page.
"""
import asyncio
import hashlib
import os
import ssl
import sys

from aiohttp import web

folder, address = sys.argv[1:3]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(f"{folder}/server.crt", f"{folder}/server.key")


def keep(name, data):
    with open(f"{folder}/{name}", "ab") as out:
        out.write(data)


async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        size += len(chunk)
    return web.Response(text=f"{size} {digest.hexdigest()}\n")


async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for i in range(3):
        await response.write(f"data: {i} {request.headers['Host']}\n\n".encode())
        await asyncio.sleep(0.1)
    return response


async def socket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(f"{request.headers['Host']} {message.data}")
    return ws


async def page(request):
    return web.FileResponse(f"{folder}/page.html", headers={"Content-Type": "text/html"})


async def report(request):
    keep("reports", await request.read() + b"\n")
    return web.Response(text="ok\n")


async def git(request):
    """git-http-backend speaks CGI."""
    body = await request.read()
    env = dict(os.environ, GIT_PROJECT_ROOT=f"{folder}/git", GIT_HTTP_EXPORT_ALL="1",
               PATH_INFO="/" + request.match_info["path"], REMOTE_USER="test",
               REQUEST_METHOD=request.method, QUERY_STRING=request.query_string,
               CONTENT_TYPE=request.headers.get("Content-Type", ""),
               HTTP_CONTENT_ENCODING=request.headers.get("Content-Encoding", ""),
               GIT_PROTOCOL=request.headers.get("Git-Protocol", ""),
               CONTENT_LENGTH=str(len(body)))
    cgi = await asyncio.create_subprocess_exec(
        "git", "http-backend", env=env, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE)
    out, _ = await cgi.communicate(body)
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, headers=headers, body=body)


async def smtp(reader, writer):
    async def say(text):
        writer.write(text.encode() + b"\r\n")
        await writer.drain()

    secure = False
    await say("220 mail")
    while line := await reader.readline():
        word = line[:4].upper()
        if word == b"EHLO":
            await say("250 mail" if secure else "250-mail\r\n250 STARTTLS")
        elif word == b"STAR":
            await say("220 go")
            await writer.start_tls(context)
            secure = True
        elif word == b"DATA":
            await say("354 go")
            while (line := await reader.readline()) not in (b".\r\n", b""):
                keep("mails", (b"TLS " if secure else b"") + line)
            await say("250 ok")
        else:
            await say("221 bye" if word == b"QUIT" else "250 ok")
            if word == b"QUIT":
                break
    writer.close()


async def postgres(reader, writer):
    if await reader.readexactly(8) == b"\0\0\0\x08\x04\xd2\x16\x2f":
        writer.write(b"S")
        await writer.start_tls(context)
        writer.write(b"echo " + await reader.read(65536))
    writer.close()


async def switch(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n"
                 b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    keep("behind", b"switched\n")
    try:
        while data := await reader.read(65536):
            keep("behind", data)
    except ConnectionError:
        pass
    writer.close()


async def main():
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([
        web.route("*", "/upload", upload), web.get("/events", events),
        web.get("/ws", socket), web.get("/page", page), web.post("/report", report),
        web.route("*", "/git/{path:.*}", git)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 9000).start()
    for port, serve in (25, smtp), (587, smtp), (5432, postgres), (80, switch):
        await asyncio.start_server(serve, address, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
