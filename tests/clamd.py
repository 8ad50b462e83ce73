"""A clamd that a test scripts: its protocol as the man page clamd(8) has it, on a Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

# EICAR's test file, not as one literal: scanners would report this module.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + b"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURE = "Eicar-Test-Signature"


@dataclass
class FakeClamd:
    """Finds `EICAR`. What a test sets is what it does from the next scan on."""

    address: str
    scanned: list[bytes] = field(default_factory=list)
    """What it was sent, file by file."""
    reply: bytes | None = None
    """What it answers in place of a verdict; nothing, and it closes the connection, if empty."""
    reply_in: int = 1
    """Into so many pieces it splits its answers."""
    most: int = 2**31
    """Its `StreamMaxLength`."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """It answers once this is set."""

    def __post_init__(self) -> None:
        self.released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            match await reader.readuntil(b"\0"):
                case b"zPING\0":
                    writer.write(b"PONG\0")
                case b"zINSTREAM\0":
                    await self._instream(reader, writer)
                case _:
                    writer.write(b"UNKNOWN COMMAND\0")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _instream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        content = b""
        while size := int.from_bytes(await reader.readexactly(4), "big"):
            content += await reader.readexactly(size)
            if len(content) > self.most:
                writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                return
        self.scanned.append(content)
        await self.released.wait()
        found = b"stream: %s FOUND\0" % SIGNATURE.encode()
        reply = (
            (found if EICAR in content else b"stream: OK\0") if self.reply is None else self.reply
        )
        size = -(-len(reply) // self.reply_in)
        for begin in range(0, len(reply), size or 1):
            writer.write(reply[begin : begin + size])
            await writer.drain()
            await asyncio.sleep(0)


@asynccontextmanager
async def fake_clamd(folder: Path) -> AsyncIterator[FakeClamd]:
    """Give one that listens in this folder; further connections are refused in the end."""
    clamd = FakeClamd(str(folder / "clamd.ctl"))
    server = await asyncio.start_unix_server(clamd.serve, clamd.address)
    try:
        yield clamd
    finally:
        clamd.released.set()
        server.close()
        await server.wait_closed()
        await asyncio.to_thread(Path(clamd.address).unlink, missing_ok=True)
