"""The client of Chat4All for Python programs (docs/clients/python.md).

    async with Client("http://127.0.0.1:8000", "bruno", "test") as chat:
        async for event in chat.events():
            match event:
                case MessageCreated(message):
                    print(message.sender_id, message.content)

What is named here is public and stays: it is deprecated, with a warning, for one minor release at
least before it goes. Everything else may change.
"""

from chat4all.client.client import Client, sign_in
from chat4all.client.errors import (
    ClientError,
    Closed,
    Conflict,
    Defect,
    InvalidCertificate,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    ProblemError,
    Refused,
    Unavailable,
)
from chat4all.client.events import (
    Connected,
    ConversationChanged,
    DeliveredMoved,
    Disconnected,
    Event,
    MessageChanged,
    MessageCreated,
    MessagesReloaded,
    Positions,
    PresenceChanged,
    ReadMoved,
    RequestRefused,
    Typing,
)
from chat4all.client.keeping import PositionsFile, UploadsFile
from chat4all.client.live import Events
from chat4all.client.views import (
    Conversation,
    FileLinkView,
    ListedConversation,
    Member,
    Message,
    NamingMessageView,
    OwnFile,
    OwnProfile,
    Page,
    Profile,
    ReactionCount,
    ReceiptView,
    Reply,
    SessionView,
    Token,
    VersionView,
    WholeConversation,
)

__all__ = [
    "Client",
    "ClientError",
    "Closed",
    "Conflict",
    "Connected",
    "Conversation",
    "ConversationChanged",
    "Defect",
    "DeliveredMoved",
    "Disconnected",
    "Event",
    "Events",
    "FileLinkView",
    "InvalidCertificate",
    "InvalidInput",
    "ListedConversation",
    "Member",
    "Message",
    "MessageChanged",
    "MessageCreated",
    "MessagesReloaded",
    "NamingMessageView",
    "NotAllowed",
    "NotFound",
    "NotSignedIn",
    "OutcomeUnknown",
    "OwnFile",
    "OwnProfile",
    "Page",
    "Positions",
    "PositionsFile",
    "PresenceChanged",
    "ProblemError",
    "Profile",
    "ReactionCount",
    "ReadMoved",
    "ReceiptView",
    "Refused",
    "Reply",
    "RequestRefused",
    "SessionView",
    "Token",
    "Typing",
    "Unavailable",
    "UploadsFile",
    "VersionView",
    "WholeConversation",
    "sign_in",
]
