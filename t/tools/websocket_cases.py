# SPDX-License-Identifier: Apache-2.0
"""What two ends of a WebSocket may do (RFC 6455, RFC 7692), one case a line.

usage: websocket_cases.py serve PORT
       websocket_cases.py ask URL [HEADER:VALUE ...]

The server does what a text message that starts with "!" says, and sends back
any other. The client prints each case's name and what it saw, no more: two
ways to the same server are alike if they print the same. A Host header is sent
in the place of the URL's host, which it connects to all the same.
"""
import asyncio
import hashlib
import logging
import ssl
import sys
from urllib.parse import urlsplit, urlunsplit

import websockets

MUCH = 16 << 20
PARTS = [b"", b"a", b"bc" * 100, b"d" * 70000, b"e"]
CODES = (1000, 1001, 1003, 1007, 1008, 1009, 1011, 3000, 4999)


def pattern(length):
    """Bytes in which a lost, doubled or moved one shows."""
    return (hashlib.sha256(b"seed").digest() * (length // 32 + 1))[:length]


async def obey(socket, order):
    word, *rest = order.split()
    if word == "!close":
        await socket.close(int(rest[0]), "so be it")
    elif word == "!drop":
        socket.transport.abort()
    elif word == "!parts":
        await socket.send(PARTS)
    elif word == "!ping":
        answer = await socket.ping(b"are you there")
        await asyncio.wait_for(answer, 10)
        await socket.send("answered")
    elif word == "!much":
        data = pattern(MUCH)
        for start in range(0, MUCH, 65536):
            await socket.send(data[start:start + 65536])
        await socket.send("end")
    elif word == "!head":
        head = socket.request_headers
        await socket.send(" ".join(
            head.get(name, "-") for name in rest) + " " + socket.path)


async def serve(port):
    async def one(socket):
        async for message in socket:
            if isinstance(message, str) and message.startswith("!"):
                await obey(socket, message)
            else:
                await socket.send(message)

    async with websockets.serve(one, "127.0.0.1", port, max_size=2 * MUCH,
                                subprotocols=["chat"], ping_interval=None):
        await asyncio.Future()


class Client:
    def __init__(self, url, headers):
        self.url = url
        self.options = {"extra_headers": headers, "max_size": 2 * MUCH,
                        "ping_interval": None, "open_timeout": 20}
        for header in [h for h in headers if h[0] == "Host"]:
            headers.remove(header)
            place = urlsplit(url)
            self.url = urlunsplit(place._replace(netloc=header[1]))
            self.options.update(host=place.hostname, port=place.port)
        if url.startswith("wss:"):
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.options["ssl"] = context

    def open(self, **more):
        return websockets.connect(self.url, **{**self.options, **more})

    async def sizes(self, **how):
        async with self.open(**how) as socket:
            for size in (0, 1, 125, 126, 127, 65535, 65536, 65537, 1 << 20, MUCH):
                sent = pattern(size)
                await socket.send(sent)
                if await socket.recv() != sent:
                    return f"{size} bytes came back as others"
        return "the same"

    async def case_sizes(self):
        return await self.sizes(compression=None)

    async def case_sizes_compressed(self):
        return await self.sizes()

    async def case_text(self):
        async with self.open() as socket:
            sent = ["", "plain", "\u03ba\u1f79\u03c3\u03bc\u03b5 \U0001f600", "x" * 70000]
            for text in sent:
                await socket.send(text)
            return [await socket.recv() for _ in sent] == sent

    async def case_parts(self):
        async with self.open(compression=None) as socket:
            await socket.send(PARTS)
            there = await socket.recv() == b"".join(PARTS)
            await socket.send("!parts")
            return there, await socket.recv() == b"".join(PARTS)

    async def case_pings(self):
        async with self.open() as socket:
            for data in (b"", b"x", b"y" * 125):
                await asyncio.wait_for(await socket.ping(data), 10)
            await socket.send("!ping")
            return await socket.recv()

    async def case_negotiated(self):
        async with self.open(subprotocols=["other", "chat"]) as socket:
            return socket.subprotocol, [e.name for e in socket.extensions]

    async def case_head(self):
        async with self.open(extra_headers=[*self.options["extra_headers"],
                             ("Cookie", "a=b"), ("Authorization", "Bearer c")],
                             origin="http://page.test") as socket:
            await socket.send("!head Cookie Authorization Origin Connection Upgrade"
                              " Sec-WebSocket-Version OpenSandbox-Ingress-To"
                              " OpenSandbox-Secure-Access")
            return await socket.recv()

    async def case_closed_there(self):
        seen = []
        for code in CODES:
            async with self.open() as socket:
                await socket.send(f"!close {code}")
                await asyncio.wait_for(socket.wait_closed(), 10)
                seen.append((socket.close_code, socket.close_reason))
        return seen

    async def case_closed_here(self):
        seen = []
        for code in CODES:
            async with self.open() as socket:
                await socket.close(code, "enough")
                seen.append((socket.close_code, socket.close_reason))
        return seen

    async def case_dropped(self):
        async with self.open() as socket:
            await socket.send("!drop")
            await asyncio.wait_for(socket.wait_closed(), 10)
            return socket.close_code

    async def case_wrong_frames(self):
        """Reserved bits and opcodes, no mask, no UTF-8, a long ping, a bad code."""
        seen = []
        for frame in ("f18000000000", "838000000000", "810161", "818100000000ff",
                      "89fe007e00000000" + "00" * 126, "8882000000000001",
                      "88820000000003ed", "808000000000", "098000000000"):
            async with self.open(compression=None) as socket:
                socket.transport.write(bytes.fromhex(frame))
                await asyncio.wait_for(socket.wait_closed(), 10)
                seen.append(socket.close_code)
        return seen

    async def case_slow_reader(self):
        async with self.open(compression=None, max_queue=1) as socket:
            await socket.send("!much")
            await asyncio.sleep(1)
            got = []
            async for message in socket:
                if message == "end":
                    break
                got.append(message)
            return b"".join(got) == pattern(MUCH)

    async def case_many(self):
        sockets = await asyncio.gather(*(self.open() for _ in range(40)))
        for number, socket in enumerate(sockets):
            await socket.send(str(number))
        back = [int(await socket.recv()) for socket in sockets]
        await asyncio.gather(*(socket.close() for socket in sockets))
        return back == list(range(40))


async def ask(url, headers):
    client = Client(url, headers)
    for name in dir(client):
        if name.startswith("case_"):
            try:
                seen = await asyncio.wait_for(getattr(client, name)(), 120)
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
            print(f"{name[5:]}: {seen}", flush=True)


# what a case breaks on purpose is no news
logging.disable()

if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(ask(sys.argv[2], [tuple(h.split(":", 1)) for h in sys.argv[3:]]))
