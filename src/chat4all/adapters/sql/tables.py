"""The tables of the directory. We generate keys: on CockroachDB a sequence is a bottleneck."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

from chat4all.adapters.sql.types import Json
from chat4all.domain.acting import ADDRESS_MAX, OPERATOR_MAX
from chat4all.domain.files import NAME_MAX

SEARCH_KEY_MAX = 240
"""Code points of a name's search key."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("username", String(32), primary_key=True),
    Column("email", String(320), nullable=False),
    # The case-folded address: two addresses must differ by more than case.
    Column("email_key", String(320), nullable=False, unique=True),
    Column("password_hash", LargeBinary(60), nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("display_name", String(80)),
    # What searches compare (`domain.text.search_key`).
    Column("display_key", String(SEARCH_KEY_MAX)),
    Column("disabled_at", String(24)),
    # An erased user's public name. The row stays, so that its key is never free.
    Column("alias", String(40)),
)

conversations = Table(
    "conversations",
    metadata,
    Column("conversation_id", String(36), primary_key=True),
    Column("type", String(16), nullable=False),
    Column("title", String(200)),
    Column("metadata", Json, nullable=False),
    Column("created_at", String(24), nullable=False),
    # The row of a deleted conversation stays, without members, so that its key is never free.
    Column("deleted_at", String(24)),
)

members = Table(
    "members",
    metadata,
    Column("conversation_id", ForeignKey(conversations.c.conversation_id), primary_key=True),
    Column("username", ForeignKey(users.c.username), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("joined_at", String(24)),
    Index("ix_members_username", "username"),
)

# The key decides who is first when two users start a conversation with each other.
private_pairs = Table(
    "private_pairs",
    metadata,
    Column("lesser", ForeignKey(users.c.username), primary_key=True),
    Column("greater", ForeignKey(users.c.username), primary_key=True),
    Column("conversation_id", ForeignKey(conversations.c.conversation_id), nullable=False),
    Index("ix_private_pairs_conversation_id", "conversation_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", String(36), primary_key=True),
    Column("username", ForeignKey(users.c.username), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger),
    Column("used_at", BigInteger),
    Column("device", String(200)),
    # SHA-256 of the family of its refresh tokens, and of the last token.
    Column("family_hash", LargeBinary(32)),
    Column("refresh_hash", LargeBinary(32)),
    # When the last token was issued: milliseconds since 1970 by the database's clock.
    Column("refreshed_at", BigInteger),
    Index("ix_sessions_expires_at", "expires_at"),
    Index("ix_sessions_username", "username"),
    Index("ix_sessions_family_hash", "family_hash", unique=True),
)

# What caches must drop, written in the transaction of the change.
outbox = Table(
    "outbox",
    metadata,
    Column("entry_id", String(36), primary_key=True),
    # Milliseconds since 1970 by the database's clock, at the beginning of the transaction.
    Column("at", BigInteger, nullable=False),
    Column("subject", String(16), nullable=False),
    Column("key", String(36), nullable=False),
    Index("ix_outbox_at", "at"),
)

# Creations that had an `Idempotency-Key`, for a day.
creations = Table(
    "creations",
    metadata,
    # The username of who creates; of a sign-up, of who is created.
    Column("scope", String(32), primary_key=True),
    Column("key", String(36), primary_key=True),
    # SHA-256 of the request, without a password.
    Column("request_hash", LargeBinary(32), nullable=False),
    # What was created, in JSON; as a text, which keeps the order of its fields.
    Column("created", Text, nullable=False),
    # Milliseconds since 1970 by the database's clock.
    Column("at", BigInteger, nullable=False),
    Index("ix_creations_at", "at"),
)

# Actions of operators, and of users on their accounts, on conversations and on one another.
audit = Table(
    "audit",
    metadata,
    Column("entry_id", String(36), primary_key=True),
    # Milliseconds since 1970 by the database's clock.
    Column("at", BigInteger, nullable=False),
    # A username, or None for an operator.
    Column("actor", String(40)),
    Column("action", String(32), nullable=False),
    Column("conversation_id", String(36)),
    Column("username", String(40)),
    Column("details", Json, nullable=False),
    Column("session_id", String(36)),
    Column("address", String(ADDRESS_MAX)),
    # An operator's account of the operating system.
    Column("operator", String(OPERATOR_MAX)),
    Index("ix_audit_at", "at"),
)

# Files, and uploads on their way to become one. Times are milliseconds since 1970 by the database's
# clock.
files = Table(
    "files",
    metadata,
    Column("file_id", String(36), primary_key=True),
    Column("owner", ForeignKey(users.c.username), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("name", String(NAME_MAX), nullable=False),
    Column("declared_type", Text, nullable=False),
    Column("object_key", String(200), nullable=False),
    Column("store_upload", Text, nullable=False),
    Column("upload_metadata", Text, nullable=False),
    Column("is_direct", Boolean, nullable=False, server_default=false()),
    Column("state", String(16), nullable=False),
    # How many bytes are durable, and where: `Progress` in JSON, None of what is whole.
    Column("received", BigInteger, nullable=False),
    Column("progress", Text),
    Column("fence", BigInteger, nullable=False),
    # The call that changed the row last: one that runs again recognises what it has done.
    Column("holder", String(36)),
    Column("lease_until", BigInteger, nullable=False),
    # When it becomes garbage; None while a message names it.
    Column("expires_at", BigInteger),
    # Set once it is garbage, for ever: until when no other collector gets it.
    Column("given_until", BigInteger),
    # When its bytes were deleted for the first time.
    Column("emptied_at", BigInteger),
    # While it waits for its scan: from when on any gateway may take it.
    Column("scan_at", BigInteger),
    # When it was begun, or, of what is whole, when it became so.
    Column("created_at", BigInteger, nullable=False),
    # None of what is not whole.
    Column("sha256", String(64)),
    Column("media_type", String(200)),
    Column("width", Integer),
    Column("height", Integer),
    Column("blurhash", String(200)),
    # Since when it waits to be compared with the files that were whole before.
    Column("compare_at", BigInteger),
    # A user's files, the newest or the largest first.
    Index("ix_files_owner", "owner", "created_at"),
    Index("ix_files_size", "owner", "size"),
    Index("ix_files_object_key", "object_key"),
    Index("ix_files_expires_at", "expires_at"),
    Index("ix_files_sha256", "sha256", "created_at"),
    Index("ix_files_compare_at", "compare_at"),
    Index("ix_files_scan_at", "scan_at"),
)

# The messages that name a file.
file_uses = Table(
    "file_uses",
    metadata,
    Column("conversation_id", ForeignKey(conversations.c.conversation_id), primary_key=True),
    Column("message_id", String(36), primary_key=True),
    # A message's id is its sender's.
    Column("sender_id", String(32), primary_key=True),
    Column("file_id", ForeignKey(files.c.file_id), primary_key=True),
    # When it is to be compared with the store of messages; None once it is settled.
    Column("check_at", BigInteger),
    Index("ix_file_uses_file_id", "file_id", "sender_id"),
    Index("ix_file_uses_check_at", "check_at"),
)

# Which installation the database is of: one row.
installation = Table(
    "installation",
    metadata,
    Column("only_row", Integer, primary_key=True, autoincrement=False),
    Column("installation_id", String(36), nullable=False),
    CheckConstraint("only_row = 1", name="ck_installation_only_row"),
)
