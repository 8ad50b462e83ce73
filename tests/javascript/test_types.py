"""The declarations of what the server answers, beside the shapes of the server."""

import re
import types
import typing
from typing import Any

import pytest

from chat4all.domain.changes import ReactionCount
from chat4all.domain.kinds import Reply
from chat4all.wire import files, messages, people, problems
from tests.javascript.node import CLIENT

DECLARED = (CLIENT / "chat4all.d.ts").read_text()

SHAPES: dict[str, type] = {
    "Message": messages.MessageView,
    "Reaction": ReactionCount,
    "Reply": Reply,
    "Version": messages.VersionView,
    "Receipt": messages.ReceiptView,
    "Member": people.MemberView,
    "ListedConversation": people.ListedConversation,
    "Profile": people.Profile,
    "OwnProfile": people.OwnProfile,
    "Session": people.SessionView,
    "OwnFile": files.OwnFileView,
    "FieldProblem": problems.ProblemField,
}


def declared(name: str) -> dict[str, bool]:
    """Return the fields of an interface, and whether they may be null."""
    found = re.search(
        rf"^export interface {name}(?: extends (\w+))? {{\n(.*?)^}}", DECLARED, re.M | re.S
    )
    assert found, name
    inherited = declared(found[1]) if found[1] else {}
    own = re.findall(r"^  (\w+): ([^;]*);", found[2], re.M)
    return inherited | {field: text.endswith("| null") for field, text in own}


def served(shape: type) -> dict[str, bool]:
    """Return the fields of what is answered, and whether they may be null."""

    def may_be_null(hint: Any) -> bool:
        is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        return is_union and type(None) in typing.get_args(hint)

    return {field: may_be_null(hint) for field, hint in typing.get_type_hints(shape).items()}


@pytest.mark.parametrize("name", SHAPES)
def test_a_declaration_has_the_fields_of_what_is_answered(name: str) -> None:
    assert declared(name) == served(SHAPES[name])
