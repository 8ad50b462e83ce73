"""Messages, conversations and files as people read them in a terminal.

What others wrote cannot move the cursor, change colours or turn the direction of what is beside it.
"""

import re
import sys
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zlib import crc32

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.text import Text

from chat4all.client import Conversation, ListedConversation, Message, OwnFile, Reply
from chat4all.domain.files import FileState, format_size
from chat4all.domain.kinds import Kind

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LINE_END = re.compile("\r\n?")

_NAME_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan")

SNIPPET_MAX = 60
"""Characters of a message where it is only hinted at."""


NAME_MIN, NAME_MAX = 12, 40
"""Columns of a conversation's name in a list."""

FILES_HEAD = f"{'ID':<36}  {'SIZE':>10}  {'STATE':<9}  NAME"
"""Above the files of a list."""


class Screen:
    """Makes text for standard output: with colours and as wide as the terminal, if it is one."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        self._day: date | None = None

    def rendered(self, what: RenderableType) -> str:
        """Return what the terminal is sent to show this. In a pipe no line is broken."""
        with self._console.capture() as captured:
            self._console.print(what, soft_wrap=not self._console.is_terminal)
        return captured.get()

    def message(self, message: Message, place: str | None = None) -> str:
        """Return a message, under its day where that is a new one. `place`: its conversation."""
        return self._row(local_time(message.created_at), message.seq, _words(message, place))

    def changed(self, message: Message, place: str | None = None) -> str:
        """Return how a message is now that it was changed."""
        words = Text.assemble(("✎ ", "dim"), _words(message, place))
        return self._row(datetime.now().astimezone(), message.seq, words)

    def notice(self, text: Text) -> str:
        """Return a line about something that happened just now."""
        return self._row(datetime.now().astimezone(), None, text)

    def conversations(self, found: Sequence[ListedConversation]) -> str:
        """Return conversations in columns, in their order."""
        most = NAME_MAX
        if self._console.is_terminal:
            most = min(most, max(NAME_MIN, self._console.width // 3))
        names = [name_of(one) for one in found]
        width = min(most, max(NAME_MIN, *map(cell_len, names)))
        head = f"{'CONVERSATION':<{width}}  UNREAD  LAST"
        now = datetime.now().astimezone()
        lines = [Text(head, "dim"), *(_in_columns(one, width, now) for one in found)]
        if self._console.is_terminal:
            for line in lines:
                line.truncate(self._console.width, overflow="ellipsis")
        return self.rendered(Text("\n").join(lines))

    def file(self, file: OwnFile) -> str:
        """Return the line of one of the user's own files, under `FILES_HEAD`."""
        state = file.state
        if state == FileState.READY:
            state = "in use" if file.in_use else "unused"
        line = Text.assemble(
            (f"{visible(file.file_id):<36}", "dim"),
            f"  {format_size(file.size):>10}  {visible(state):<9}  ",
            in_a_line(file.name),
        )
        return self.rendered(line)

    def _row(self, when: datetime, seq: int | None, text: Text) -> str:
        """Return a row; further lines of the text stand below its first one."""
        first = Text(f"{seq or '':>4} {when:%H:%M} ", "dim")
        lines = text.split("\n")
        if self._console.is_terminal:
            width = max(20, self._console.width - first.cell_len)
            lines = text.wrap(self._console, width)
        below = " " * first.cell_len
        rows = [
            Text.assemble(below if number else first, line) for number, line in enumerate(lines)
        ]
        return self._day_of(when) + self.rendered(Text("\n").join(rows))

    def _day_of(self, when: datetime) -> str:
        if when.date() == self._day:
            return ""
        self._day = when.date()
        # `%-d` is not everywhere.
        title = f"{when:%A}, {when.day} {when:%B %Y}"
        if not self._console.is_terminal:
            return f"{title}\n"
        return self.rendered(Rule(Text(title, "dim"), style="dim", align="left"))


def visible(text: str) -> str:
    """Return a text that can be printed as it is: controls are replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _LINE_END.sub("\n", text))


def in_a_line(text: str, most: int = SNIPPET_MAX) -> str:
    """Return the beginning of a text, in one line."""
    words = " ".join(visible(text).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def local_time(text: str) -> datetime:
    """Return a time of the wire in this machine's zone."""
    return datetime.fromisoformat(text).astimezone()


def named(username: str) -> Text:
    """Return a username in its colour: everywhere the same."""
    colour = _NAME_COLOURS[crc32(username.encode()) % len(_NAME_COLOURS)]
    return Text(visible(username), f"bold {colour}")


def name_of(conversation: Conversation, me: str | None = None) -> str:
    """Return what people call a conversation: its title, or who else is in it."""
    if name := conversation.title or getattr(conversation, "peer", None):
        return in_a_line(name)
    return in_a_line(", ".join(one.username for one in conversation.members if one.username != me))


def said(message: Message | Reply) -> Text:
    """Return what a message says, in the words of its kind."""
    is_deleted = message.deleted if isinstance(message, Reply) else message.deleted_at
    if is_deleted:
        return Text("deleted", "dim italic")
    if message.kind == Kind.TEXT:
        return Text(visible(message.content))
    text = Text(f"[{message.kind}]", "dim")
    payload = getattr(message, "payload", None) or {}
    about = message.content or _about(message.kind, payload)
    return text.append(f" {visible(about)}", "not dim") if about else text


def reactions(message: Message) -> str:
    """Return the reactions to a message, each with how many gave it."""
    return "  ".join(
        visible(one.emoji) + (f" {one.count}" if one.count > 1 else "") for one in message.reactions
    )


def _about(kind: str, payload: dict[str, Any]) -> str:
    match kind:
        case Kind.LOCATION:
            found = [payload.get("name"), payload.get("address")]
            found += [f"{payload.get('lat')}, {payload.get('lon')}"]
        case Kind.CONTACT:
            found = [payload.get("name"), *payload.get("phones", ()), *payload.get("emails", ())]
        case _:
            found = [payload.get("name"), payload.get("alt")]
    return " · ".join(str(one) for one in found if one)


def _words(message: Message, place: str | None) -> Text:
    text = Text()
    if place is not None:
        text.append(f"[{place}] ", "dim")
    text.append_text(named(message.sender_id)).append(": ")
    if message.reply_to is not None:
        answered = message.reply_to
        text.append(f"↪ {visible(answered.sender_id)}: ", "dim")
        text.append(f"{in_a_line(said(answered).plain)}\n", "dim")
    text.append_text(said(message))
    if message.edited_at and not message.deleted_at:
        text.append("  (edited)", "dim")
    if message.reactions:
        text.append(f"  {reactions(message)}")
    return text


def _in_columns(one: ListedConversation, width: int, now: datetime) -> Text:
    name = Text(name_of(one), "bold" if one.unread else "")
    name.truncate(width, overflow="ellipsis", pad=True)
    unread = Text(f"{one.unread or '':>4}", "bold green")
    unread.append(" @" if one.unread_mentions else "  ", "bold yellow")
    line = Text.assemble(name, "  ", unread, "  ")
    if (last := one.last_message) is not None:
        line.append(f"{_short_time(local_time(last.created_at), now):<6}  ", "dim")
        line.append_text(named(last.sender_id)).append(f": {in_a_line(said(last).plain)}")
    return line


def _short_time(when: datetime, now: datetime) -> str:
    """Return the time of a day that is today, else the day."""
    if when.date() == now.date():
        return f"{when:%H:%M}"
    return f"{when.day} {when:%b}" + ("" if when.year == now.year else f" {when.year}")
