"""Makes a command of a driver that is a coroutine: `run_as_command(drive)`."""

import asyncio
import json
import sys

from tests.conformance.data import Json
from tests.conformance.running import LINE_MOST, Drive


def run_as_command(drive: Drive) -> None:
    """Read the program from standard input, and print what the driver tells."""
    asyncio.run(_run(drive))


async def _run(drive: Drive) -> None:
    reader = asyncio.StreamReader(LINE_MOST)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    program: Json = json.loads(await reader.readline())

    def tell(line: Json) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    async def go() -> None:
        await reader.readline()

    try:
        await drive(program, tell, go)
    finally:
        transport.close()
