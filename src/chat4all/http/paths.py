"""Ids in paths: one type for each kind of id, and the number that may stand beside a message's.

Endpoints get ids in their canonical form only, however they are spelled. A text that breaks the
pattern is answered 422.
"""

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

from chat4all.domain.changes import EMOJIS, emoji
from chat4all.domain.files import FileId, file_id
from chat4all.domain.ids import (
    UUID_PATTERN,
    ConversationId,
    MessageId,
    SessionId,
    Username,
    conversation_id,
    message_id,
    session_id,
)
from chat4all.domain.ids import username as canonical_username
from chat4all.wire.messages import EXAMPLE_MESSAGE
from chat4all.wire.people import EXAMPLE_CONVERSATION
from chat4all.wire.records import SEQ_MAX

USERNAME_PATH_MAX = 40
"""Longer than any username: an unknown name is a 404, and no longer one is looked up."""

# Not the demonstration's conversation: examples are tried out, on routes that delete too.
ConversationPath = Annotated[
    ConversationId,
    Path(pattern=UUID_PATTERN, examples=[EXAMPLE_CONVERSATION]),
    AfterValidator(conversation_id),
]
MessagePath = Annotated[
    MessageId,
    Path(pattern=UUID_PATTERN, examples=[EXAMPLE_MESSAGE]),
    AfterValidator(message_id),
]
SeqQuery = Annotated[
    int | None,
    Query(
        ge=1,
        le=SEQ_MAX,
        description="The number of the message, which says which one is meant where several "
        "members have used its id. Without it: your own, else the first.",
    ),
]
EmojiPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=8,
        description=f"One of {' '.join(EMOJIS)}, percent-encoded.",
        examples=[EMOJIS[0]],
        json_schema_extra={"enum": [*EMOJIS]},
    ),
    AfterValidator(emoji),
]
FilePath = Annotated[FileId, Path(pattern=UUID_PATTERN), AfterValidator(file_id)]
SessionPath = Annotated[SessionId, Path(pattern=UUID_PATTERN), AfterValidator(session_id)]
UserPath = Annotated[
    Username,
    Path(min_length=1, max_length=USERNAME_PATH_MAX, examples=["carla"]),
    AfterValidator(canonical_username),
]
MemberPath = Annotated[
    Username,
    Path(min_length=1, max_length=USERNAME_PATH_MAX, examples=["ana"]),
    AfterValidator(canonical_username),
]
