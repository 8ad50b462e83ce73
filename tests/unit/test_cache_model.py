"""Whatever is loaded and changes at the same time: what is cached is the present value.

And the other way round: a value is cached unless its own key changed while it was loaded.
"""

from asyncio import CancelledError
from collections.abc import Coroutine, Generator, Mapping, Sequence
from types import coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat4all.adapters.caching.cache import Cache, ListCache
from chat4all.domain.errors import Unavailable
from chat4all.ports.outbox import OutboxEntry, Subject

KEYS = ["ana", "bruno"]
SUBJECT = Subject.MEMBERS

keys = st.sampled_from(KEYS)
some = st.lists(keys, min_size=1, unique=True)
numbers = st.integers(0, 5)
errors = st.sampled_from([Unavailable, CancelledError, RuntimeError])


class Heard:
    """An outbox that is always followed."""

    def require(self) -> None: ...

    def add_listener(self, _: object) -> None: ...


@coroutine
def load(asked: Sequence[str]) -> Generator[Sequence[str], Any, Any]:
    """Wait for an answer, which `Asking` is given."""
    return (yield asked)


async def load_one(key: str) -> Any:
    return (await load([key]))[key]


class Asking:
    """A call of a cache, which has a number. `asked` is what it loads, until `value` is there."""

    def __init__(self, cache: int, call: Coroutine[Any, Any, Any]) -> None:
        self.cache = cache
        self._call = call
        self.value: Any = None
        self.asked: Sequence[str] = ()
        self.answer: Mapping[str, list[int]] = {}
        self.changed: set[str] = set()
        """What has changed since it began to load."""
        self._send(None)

    def _send(self, answer: object) -> None:
        try:
            self.asked = self._call.send(answer)
        except StopIteration as returned:
            self.value = returned.value

    def end(self) -> None:
        """Let it have the answer."""
        self._send(self.answer)

    def fail(self, error: type[BaseException]) -> None:
        """Let its load fail."""
        try:
            self._call.throw(error("away"))
        except error:
            return
        raise AssertionError("an error was lost")


class Overlaps(RuleBasedStateMachine):
    """`now` is what is true: how often each key has changed."""

    def __init__(self) -> None:
        super().__init__()
        outbox: Any = Heard()
        self.single = Cache[str, list[int]](load_one, SUBJECT, outbox)
        self.listed = ListCache[str, list[int]](load, SUBJECT, outbox)
        self.now = dict.fromkeys(KEYS, 0)
        self.under_way: list[Asking] = []

    def begin(self, cache: int, call: Coroutine[Any, Any, Any]) -> None:
        asking = Asking(cache, call)
        # As it is at once, the earliest moment: it may have changed when the answer comes.
        asking.answer = {key: [self.now[key]] for key in asking.asked}
        if asking.asked:
            self.under_way.append(asking)

    @rule(key=keys)
    def get(self, key: str) -> None:
        self.begin(0, self.single.get(key))

    @rule(asked=some)
    def get_each(self, asked: list[str]) -> None:
        self.begin(0, self.single.get_each(asked, load))

    @rule(asked=some)
    def get_of_a_list(self, asked: list[str]) -> None:
        self.begin(1, self.listed.get(asked))

    @rule(key=keys, by_another=st.booleans())
    def change(self, key: str, by_another: bool) -> None:
        self.now[key] += 1
        for asking in self.under_way:
            asking.changed.add(key)
        for cache in (self.single, self.listed):
            if by_another:
                cache.changed([OutboxEntry("", SUBJECT, key), OutboxEntry("", Subject.USER, key)])
            else:
                cache.drop(key)

    @rule()
    def change_all(self) -> None:
        for key in KEYS:
            self.now[key] += 1
        for asking in self.under_way:
            asking.changed.update(KEYS)
        for cache in (self.single, self.listed):
            cache.all_changed()

    @precondition(lambda self: self.under_way)
    @rule(number=numbers)
    def end(self, number: int) -> None:
        asking = self.under_way.pop(number % len(self.under_way))
        before = {key: self.cached(key)[asking.cache] for key in asking.asked}
        asking.end()
        for key, earlier in before.items():
            now = self.cached(key)[asking.cache]
            assert earlier is None or now is earlier, "the identical value until it changes"
            assert now is not None or key in asking.changed, "only what has changed is not kept"

    @precondition(lambda self: self.under_way)
    @rule(number=numbers, error=errors)
    def fail(self, number: int, error: type[BaseException]) -> None:
        self.under_way.pop(number % len(self.under_way)).fail(error)

    @invariant()
    def what_is_cached_is_what_is_true(self) -> None:
        for key in KEYS:
            for value in self.cached(key):
                assert value in (None, [self.now[key]])

    @invariant()
    def nothing_is_left_of_loads_that_have_ended(self) -> None:
        if not self.under_way:
            assert not self.single._loading
            assert not self.listed._loading

    def cached(self, key: str) -> tuple[list[int] | None, list[int] | None]:
        """Return the values that the two caches have without a load."""
        one, of_list = Asking(0, self.single.get(key)), Asking(1, self.listed.get([key]))
        for asking in (one, of_list):
            if asking.asked:
                asking.fail(CancelledError)
        return one.value, (of_list.value or {}).get(key)


TestOverlaps = Overlaps.TestCase
TestOverlaps.settings = settings(max_examples=100, stateful_step_count=30)
