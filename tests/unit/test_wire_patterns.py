"""Patterns of bodies: Python's `$` matches before a line break at the end, too."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import inspect

from chat4all import wire
from chat4all.domain.ids import UUID_PATTERN
from chat4all.wire.messages import EXAMPLE_CHAT


def structs() -> Iterator[type[msgspec.Struct]]:
    for module in pkgutil.iter_modules(wire.__path__):
        of = importlib.import_module(f"{wire.__name__}.{module.name}")
        for value in vars(of).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct):
                yield value


def strings(found: Any) -> Iterator[inspect.StrType]:
    """Yield the strings in a type, without those of other structs."""
    if isinstance(found, inspect.StrType):
        yield found
    elif isinstance(found, inspect.Metadata):
        yield from strings(found.type)
    elif isinstance(found, inspect.UnionType):
        for one in found.types:
            yield from strings(one)
    elif isinstance(found, inspect.ListType | inspect.VarTupleType):
        yield from strings(found.item_type)


def patterns() -> dict[str, inspect.StrType]:
    found = {}
    for struct in structs():
        described = inspect.type_info(struct)
        assert isinstance(described, inspect.StructType)
        for field in described.fields:
            for one in strings(field.type):
                if one.pattern is not None:
                    found[f"{struct.__name__}.{field.name}"] = one
    return found


PATTERNS = patterns()


EXAMPLES = {UUID_PATTERN: EXAMPLE_CHAT, "^[0-9a-fA-F]{64}$": "0" * 64, "^[0-9a-f]{64}$": "0" * 64}


def test_there_are_some() -> None:
    assert {"SendMessage.chat_id", "CompleteUpload.sha256"} <= set(PATTERNS)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_no_line_break_at_its_end(name: str) -> None:
    found = PATTERNS[name]
    rule = msgspec.Meta(
        pattern=found.pattern, min_length=found.min_length, max_length=found.max_length
    )
    checked: Any = Annotated[str, rule]
    example = EXAMPLES[found.pattern or ""]
    assert msgspec.convert(example, checked) == example
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"{example}\n", checked)
