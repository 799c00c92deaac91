"""A WebSocket echo server on websockets, for Python. argv[1] is the port."""

import asyncio
import logging
import sys

import websockets


async def echo(socket):
    async for message in socket:
        await socket.send(message)


logging.getLogger("websockets").setLevel(logging.CRITICAL)


async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    async with websockets.serve(echo, "127.0.0.1", port, compression=None):
        await asyncio.Future()


asyncio.run(main())
