"""A server that gets each connection as `wire/connection.py` makes it."""

import asyncio

from relaynode.wire.connection import Connection


async def start_server(on_made, host, port, **settings):
    """`on_made` gets each connection. `settings`: see loop.create_server."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(on_made), host, port, **settings)
