# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client: sends a message, prints what comes back.

usage: websocket.py URL MESSAGE [HEADER:VALUE ...]
"""
import asyncio
import sys

import websockets


async def main():
    headers = [tuple(h.split(":", 1)) for h in sys.argv[3:]]
    async with websockets.connect(sys.argv[1], extra_headers=headers,
                                  open_timeout=10) as socket:
        await socket.send(sys.argv[2])
        print(await asyncio.wait_for(socket.recv(), 10))


try:
    asyncio.run(main())
except Exception as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(1)
