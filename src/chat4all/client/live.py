"""Events over connections that follow one another, and the loop that is given them."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing, suppress
from typing import Self

from websockets.exceptions import ConnectionClosed

from chat4all.client.calling import Caller
from chat4all.client.errors import Closed, Defect, NotFound, Unavailable
from chat4all.client.events import (
    Connected,
    Disconnected,
    Event,
    MessagesReloaded,
    Positions,
)
from chat4all.client.following import NO_TIME, Following, Gap, MustReload, Step
from chat4all.client.inbox import Inbox
from chat4all.client.refusing import RESUME, WATCH, problem_error, typing_ref
from chat4all.client.reloading import reloaded
from chat4all.client.socket import LOST, Lost, Socket, opened
from chat4all.client.timing import SLOW_SECONDS, Pace
from chat4all.client.tokens import Tokens
from chat4all.domain.position import Position
from chat4all.wire import client_frames
from chat4all.wire.frames import ErrorFrame, Resumed

POSITIONS_MAX = 500
"""Of one frame, which may have 64 KiB."""

TOO_SLOW = 4408

logger = logging.getLogger(__name__)


class Live:
    """What a client has of the live interface: one loop over events at a time."""

    def __init__(self, caller: Caller, tokens: Tokens, pace: Pace, queue_max: int) -> None:
        self.caller = caller
        self.tokens = tokens
        self.pace = pace
        self.queue_max = queue_max
        self.socket: Socket | None = None
        """The connection that is open now."""
        self.watched: list[str] | None = None
        self._taken: dict[str, str] = {}
        self._generation: str | None = None
        self._told_all_at: str | None = None
        self._left: set[str] = set()
        self._events: Events | None = None
        self._ended: list[Events] = []
        """Loops that others have taken over from; their connections may not be closed yet."""

    @property
    def positions(self) -> Positions:
        """How far events were taken."""
        return {"positions": dict(self._taken), "generation": self._generation}

    def events(self, since: Positions | None) -> "Events":
        """Return a loop; the one before ends."""
        if self._events is not None:
            self._events.end(Closed("another loop over the events has begun"))
            self._ended = [one for one in self._ended if one.is_running] + [self._events]
        # A loop that got as far as `Connected` knows every conversation, even if there was none.
        is_beginning = since is None and not self._taken and self._generation is None
        if since is not None:
            self._taken = dict(since["positions"])
            self._generation = since.get("generation")
            # A run knows the generation once it was told of everything.
            self._told_all_at = None if self._generation is None else NO_TIME
            self._left.clear()
        following = Following(
            {one: Position.parse(text) for one, text in self._taken.items()},
            self._generation,
            is_beginning,
            self._told_all_at,
            self._left,
        )
        self._events = Events(self, following)
        return self._events

    def take(self, step: Step) -> None:
        """Count a step as taken."""
        if step.is_forgotten:
            self._taken.pop(step.conversation, None)
        if step.position is not None:
            self._taken[step.conversation] = str(step.position)
        if step.generation is not None:
            self._generation, self._told_all_at = step.generation, step.told_all_at

    async def typing(self, conversation: str) -> None:
        """Say that somebody is typing, if there is a connection."""
        if self.socket is not None:
            frame = client_frames.SayTyping(conversation, ref=typing_ref(conversation))
            with suppress(ConnectionClosed, TimeoutError):
                await self.socket.say(frame)

    async def watch(self, usernames: Iterable[str]) -> None:
        """Watch these users, now and on later connections."""
        watched = list(usernames)
        if len(watched) > client_frames.WATCH_MAX:
            raise ValueError(f"at most {client_frames.WATCH_MAX} users can be watched")
        self.watched = watched
        if self.socket is not None:
            with suppress(ConnectionClosed, TimeoutError):
                await self.say_watched(self.socket)

    async def say_watched(self, socket: Socket) -> None:
        """Say whom to watch, if anybody is watched."""
        if self.watched is not None:
            await socket.say(client_frames.Watch(self.watched, ref=WATCH))

    async def close(self) -> None:
        """End the loop and its connection, and what is left of those before."""
        events = [*self._ended, *([self._events] if self._events is not None else [])]
        for one in events:
            one.end(Closed("the client was closed"))
        await asyncio.gather(*(one.aclose() for one in events))


class Events:
    """A loop over events: an asynchronous iterator. `aclose` ends its connection.

    A task that is cancelled while it waits for an event loses none: the next one to ask gets it.
    """

    def __init__(self, live: Live, following: Following) -> None:
        self._live = live
        self._following = following
        self._inbox: Inbox[Step] = Inbox(live.queue_max)
        self._in_hand: Step | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._in_hand is not None and not self._has_ended:
            self._live.take(self._in_hand)
            self._in_hand = None
        if self._task is None and not self._has_ended:
            self._task = asyncio.create_task(self._run(), name="chat4all-events")
        while True:
            step = await self._inbox.get()
            if step.event is not None:
                self._in_hand = step
                return step.event
            self._live.take(step)

    @property
    def is_running(self) -> bool:
        """Whether something is left of its connection."""
        return self._task is not None and not self._task.done()

    def end(self, error: Exception) -> None:
        """End the connection; whoever asks for another event gets this error."""
        if self._task is not None and not self._has_ended:  # once: it may be closing
            self._task.cancel()
        self._has_ended = True
        self._inbox.drop()
        self._inbox.end(error)

    async def aclose(self) -> None:
        """End the connection, and wait until nothing is left of it."""
        self.end(Closed("the loop over the events was closed"))
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            self._live.caller.http()
            await self._follow()
        except asyncio.CancelledError:  # also by a program that cancels every task that there is
            self._inbox.end(Closed("the loop over the events was cancelled"))
            raise
        except Exception as error:
            self._inbox.end(error)

    async def _follow(self) -> None:
        """Connect for ever; raise what makes another try useless."""
        delays, refused = self._live.pace.delays(), None
        is_known = is_connected = False
        while True:
            socket: Socket | None = None
            try:
                live = self._live
                opening = opened(live.caller, live.tokens, live.pace, refused, is_known=is_known)
                async with opening as socket:
                    live.socket = socket
                    await self._begin(socket)
                    while not is_connected:
                        is_connected = await self._act(socket)
                    delays, is_known = live.pace.delays(), True
                    while True:
                        await self._act(socket)
            except Lost as lost:
                why = lost
            except Gap as gap:
                why = Lost(LOST, str(gap))
            except Unavailable as error:
                why = Lost(LOST, str(error), retry_after=error.retry_after)
            finally:
                if self._live.socket is socket:  # and not that of a loop that has taken over
                    self._live.socket = None
            refused = why.refused
            if is_connected:
                is_connected = False
                await self._inbox.put(Step(Disconnected(why.code, why.reason)))
            if why.code == TOO_SLOW:
                await self._inbox.drained()
            delay = self._live.pace.of(why.retry_after or 0.0) + next(delays)
            logger.info("%s; connecting again in %.1f s", why.reason, delay)
            await asyncio.sleep(delay)

    async def _begin(self, socket: Socket) -> None:
        """Say how far everything was seen."""
        hello = await socket.hello()
        following = self._following
        await self._live.say_watched(socket)
        has = [(one, str(position)) for one, position in following.positions.items()]
        pieces = [has[n : n + POSITIONS_MAX] for n in range(0, len(has), POSITIONS_MAX)] or [[]]
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces)
            generation = following.generation
            await socket.say(client_frames.Resume(dict(piece), generation, more, ref=RESUME))
        following.connect(hello.username, hello.generation, hello.server_time)

    async def _act(self, socket: Socket) -> bool:
        """Act on the next frame; return whether it says that nothing is missing any more."""
        frame = await socket.next()
        if isinstance(frame, Resumed):
            for moved in self._following.resumed(frame.markers):
                await self._put(moved)
            await self._put(Step(Connected(self._following.username)))
            return True
        if isinstance(frame, ErrorFrame):
            self._refused(socket, frame)
        for step in self._following.steps(frame):
            if isinstance(step, MustReload):
                with suppress(NotFound):  # removed meanwhile: a frame will say so
                    async with aclosing(reloaded(self._live.caller, step)) as found:
                        async for one in found:
                            await self._put(one)
            else:
                await self._put(step)
        return False

    def _refused(self, socket: Socket, frame: ErrorFrame) -> None:
        """Act on what the server does not do. Raises what ends a connection without a resume."""
        logger.warning("the server refuses what was said: %s, %d", frame.problem, frame.status)
        if frame.ref not in {RESUME, WATCH}:
            return
        error = problem_error(frame)
        if frame.ref == RESUME:  # nothing would ever come
            if isinstance(error, Unavailable):
                raise error
            raise Defect(f"the positions are refused: {error}")
        if isinstance(error, Unavailable):
            # Whatever is watched by then; `retry_after` bounds how often that is asked.
            pace, say = self._live.pace, self._live.say_watched
            seconds = pace.of(error.retry_after or 0.0) + next(pace.delays())
            socket.do_later(seconds, lambda: say(socket))

    async def _put(self, step: Step) -> None:
        """Queue a step; from then on it is seen."""
        try:
            async with asyncio.timeout(self._live.pace.of(SLOW_SECONDS)):
                await self._inbox.put(step, _weight(step.event))
        except TimeoutError:
            raise Lost(TOO_SLOW, "the program does not take its events") from None
        self._following.commit(step)


def _weight(event: Event | None) -> int:
    """Return how many of the events that may wait it counts for: one, or one for each message."""
    return max(1, len(event.messages)) if isinstance(event, MessagesReloaded) else 1
