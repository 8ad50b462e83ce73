"""Wrapping some methods of a port, without a class that forwards all the others."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

T = TypeVar("T")

Call: TypeAlias = Callable[..., Awaitable[Any]]
Around: TypeAlias = Callable[[Call], Call]
"""Returns, for a method, the one to call instead."""


def interposed(target: T, around: Mapping[str, Around]) -> T:
    """Return `target` with each named method wrapped; the others are its own.

    Raises `AttributeError` for a name that the target does not have.
    """
    return cast("T", _Interposed(target, around))


def ending_with(hook: Callable[..., None]) -> Around:
    """Call `hook` with a call's arguments after it, also when it failed."""

    def around(call: Call) -> Call:
        async def called(*arguments: Any, **options: Any) -> Any:
            try:
                return await call(*arguments, **options)
            finally:
                hook(*arguments, **options)

        return called

    return around


class _Interposed:
    def __init__(self, target: object, around: Mapping[str, Around]) -> None:
        self._target = target
        for name, put_around in around.items():
            getattr(target, name)  # a misspelt name would never be called
            setattr(self, name, put_around(_late(target, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def _late(target: object, name: str) -> Call:
    """Return a call that looks the method up on `target` each time."""

    def call(*arguments: Any, **options: Any) -> Awaitable[Any]:
        result: Awaitable[Any] = getattr(target, name)(*arguments, **options)
        return result

    return call
