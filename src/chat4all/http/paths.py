"""Ids in paths: one type for each kind of id, which gives an endpoint the canonical id.

Two spellings of one id are one id, so no endpoint sees any but the canonical one. What breaks the
pattern is answered 422.
"""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator

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
from chat4all.wire.messages import EXAMPLE_MESSAGE
from chat4all.wire.people import EXAMPLE_CONVERSATION

USERNAME_PATH_MAX = 40
"""Longer than any username, so that another name is 404 and no more than this is looked up."""

# Not the demonstration's conversation: an example is tried out, on routes that delete too.
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
SessionPath = Annotated[SessionId, Path(pattern=UUID_PATTERN), AfterValidator(session_id)]
UserPath = Annotated[Username, Path(min_length=1, max_length=USERNAME_PATH_MAX, examples=["carla"])]
MemberPath = Annotated[Username, Path(min_length=1, max_length=USERNAME_PATH_MAX, examples=["ana"])]
