"""Many who are connected at once: groups of people, one socket each, on one event loop."""

import asyncio
import json
import random
import resource
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.filling import directory_of
from chat4all.concurrency.slices import slices
from chat4all.domain.ids import ConversationId, Username
from tests.cluster.services import Service
from tests.cluster.site import Site, new_names
from tests.copies import Copy, Frame
from tests.databases import in_thread
from tests.faults.clients import Client
from tests.faults.running import until, whole_history

FIRST_DELAY, MOST_DELAY = 1.0, 30.0
"""Seconds within which a client connects again after the first break, and after many, as
docs/clients.md asks."""

AT_ONCE = 100
"""Who connect for the first time together."""

LOOK_SECONDS = 0.01
CURRENT_SECONDS = 120


class Reader:
    """Somebody who follows a chat, and connects again to any gateway when a socket has ended."""

    def __init__(self, chat: str, token: str, gateways: Sequence[Service], seed: int) -> None:
        self.copy = Copy(chat)
        self.is_current = False
        """Whether there is a socket that has resumed."""
        self.closes: list[tuple[float, int]] = []
        """When sockets ended, and with which code; 1006 for those without a close frame."""
        self.refusals: list[str] = []
        """Why a gateway that listens opened no socket."""
        self.unanswered: list[tuple[float, float]] = []
        """When one was asked that ended the connection before it had answered, and when it did."""
        self._gateways = gateways
        self._headers = {"Authorization": f"Bearer {token}"}
        self._chance = random.Random(seed)

    async def follow(self, may_connect: asyncio.Event) -> None:
        """Follow until cancelled."""
        delay = FIRST_DELAY
        while True:
            await may_connect.wait()
            await self._connect(self._chance.choice(self._gateways))
            delay = FIRST_DELAY if self.is_current else min(2 * delay, MOST_DELAY)
            self.is_current = False
            await asyncio.sleep(self._chance.uniform(0, delay))

    async def _connect(self, gateway: Service) -> None:
        asked = time.monotonic()
        try:
            async with connect(
                gateway.live_url,
                additional_headers=self._headers,
                proxy=None,
                compression=None,
                ping_interval=None,
                open_timeout=30,
            ) as connection:
                await connection.send(self.copy.resume())
                resumes = self.copy.resumes
                while True:
                    self.copy.take(json.loads(await connection.recv()))
                    self.is_current = self.copy.resumes > resumes
        except ConnectionClosed as ended:
            code = ended.rcvd.code if ended.rcvd else 1006
            self.closes.append((time.monotonic(), code))
        except OSError:
            pass  # nobody listens
        except WebSocketException as refused:
            if isinstance(refused.__cause__, EOFError):
                self.unanswered.append((asked, time.monotonic()))
            else:
                self.refusals.append(str(refused))


class Group:
    """Some who read a chat, and one of them who writes there through one gateway."""

    def __init__(self, readers: Sequence[Reader], writer: Client, token: str) -> None:
        self.readers = readers
        self.writer = writer
        self.chat = readers[0].copy.chat
        self._token = token

    def history(self, gateway: Service) -> list[Frame]:
        """Return all messages."""
        return whole_history(gateway.url, self.chat, self._token)


class Herd:
    """All groups. Its sockets are in a thread of their own."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.readers = [reader for group in groups for reader in group.readers]
        self._loop = asyncio.new_event_loop()
        self._may_connect, self._ending = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._follow()])

    async def _follow(self) -> None:
        following = []
        # In turns: each signs in for the first time, which costs more than coming back.
        for some in slices(self.readers, AT_ONCE):
            following += [asyncio.create_task(reader.follow(self._may_connect)) for reader in some]
            while not (self._ending.is_set() or all(reader.is_current for reader in some)):
                await asyncio.sleep(LOOK_SECONDS)
        await self._ending.wait()
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    def start(self) -> None:
        """Let everybody connect, and then let one of each group write."""
        self._thread.start()
        self.let_connect()
        self.all_current()
        for group in self.groups:
            group.writer.start()

    def end(self) -> None:
        self.stop_writing()
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._loop.close()

    def stop_writing(self) -> None:
        for group in self.groups:
            if group.writer.is_alive():
                group.writer.stop()

    def let_connect(self) -> None:
        """Let those connect who are not connected, each after a delay of its own."""
        self._loop.call_soon_threadsafe(self._may_connect.set)

    def keep_away(self) -> None:
        """Let nobody connect from now on."""
        self._loop.call_soon_threadsafe(self._may_connect.clear)

    def resumes(self) -> int:
        return sum(reader.copy.resumes for reader in self.readers)

    def closes(self) -> list[tuple[float, int]]:
        """Return when sockets ended, and with which code, in that order."""
        return sorted(close for reader in self.readers for close in reader.closes)

    def all_current(self) -> None:
        """Return once everybody has resumed."""
        until(lambda: all(reader.is_current for reader in self.readers), CURRENT_SECONDS)

    def goes_on(self, times: int) -> None:
        """Return once each group has had so many more messages accepted."""
        writers = [group.writer for group in self.groups]
        wanted = [len(writer.acknowledged) + times for writer in writers]
        until(
            lambda: all(len(w.acknowledged) >= n for w, n in zip(writers, wanted, strict=True)), 60
        )


@contextmanager
def a_herd(
    site: Site,
    groups: int,
    people: int,
    gateways: Sequence[Service] | None = None,
    pause: float = 0.5,
) -> Iterator[Herd]:
    """Connect groups of so many people to these gateways, or to all of the site.

    Something is said in each group every `pause` seconds, in the second through the second gateway,
    and so on.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    names = [Username(name) for name in new_names(groups * people)]
    chats = [ConversationId(str(uuid.uuid4())) for _ in range(groups)]
    members = {chat: names[n * people : (n + 1) * people] for n, chat in enumerate(chats)}
    tokens = dict(zip(names, _fill(site, names, members), strict=True))
    made = []
    for number, (chat, those) in enumerate(members.items()):
        readers = [
            Reader(chat, tokens[name], gateways or site.gateways, seed)
            for seed, name in enumerate(those, number * people)
        ]
        through = site.gateways[number % len(site.gateways)]
        writer = Client(through.port, chat, those[0], tokens[those[0]], pause=pause)
        made.append(Group(readers, writer, tokens[those[0]]))
    herd = Herd(made)
    try:
        herd.start()
        yield herd
    finally:
        herd.end()


def _fill(
    site: Site,
    names: Sequence[Username],
    members: dict[ConversationId, list[Username]],
) -> list[str]:
    """Put people who have signed in into the database, without a quarter of a second for each."""
    settings = site.cluster.settings
    directory = directory_of(names, members, settings["SECRET_KEY"])

    async def fill() -> None:
        connection = await asyncpg.connect(settings["DATABASE_URL"])
        try:
            for table, columns, rows in directory.tables:
                await connection.copy_records_to_table(table, records=rows, columns=columns)
        finally:
            await connection.close()

    in_thread(fill)
    return directory.tokens
