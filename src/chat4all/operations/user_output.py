"""Users and entries of the audit as operators read them: fields for JSON, and lines."""

from chat4all.adapters.sql.audit import AuditEntry
from chat4all.domain.people import User
from chat4all.domain.times import format_milliseconds


def user_fields(user: User) -> dict[str, object]:
    """Return the fields of a user's JSON."""
    return {
        "username": user.username,
        "display_name": user.display_name,
        "email": user.email,
        "created_at": user.created_at,
        "disabled": user.is_disabled,
    }


def user_line(user: User) -> str:
    """Return a user as a line."""
    words = [user.username, user.email, user.created_at]
    if user.display_name:
        words.append(user.display_name)
    if user.is_disabled:
        words.append("(disabled)")
    return "  ".join(words)


def audit_fields(entry: AuditEntry) -> dict[str, object]:
    """Return the fields of an audit entry's JSON."""
    return {
        "at": format_milliseconds(entry.at),
        "actor": entry.actor or "operator",
        "operator": entry.operator,
        "action": entry.action,
        "username": entry.username,
        "conversation_id": entry.conversation_id,
        "session_id": entry.session_id,
        "address": entry.address,
        "details": dict(entry.details),
    }


def audit_line(entry: AuditEntry) -> str:
    """Return an entry of the audit as a line, without the fields that are empty."""
    fields = audit_fields(entry)
    actor = entry.actor or ":".join(filter(None, ("operator", entry.operator)))
    about = {**entry.details, "by_session": entry.session_id, "from": entry.address}
    details = " ".join(f"{name}={value}" for name, value in about.items() if value)
    names = ("action", "username", "conversation_id")
    words = (fields["at"], actor, *(fields[name] for name in names), details)
    return "  ".join(str(word) for word in words if word)
