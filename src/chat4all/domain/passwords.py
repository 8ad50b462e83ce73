"""Passwords in the form in which they are compared: RFC 8265's OpaqueString.

Keyboards differ in how they spell a letter such as ñ. The profile makes both spellings one, and
refuses what cannot be typed everywhere.
"""

from functools import cache
from typing import TYPE_CHECKING

import unicodedata2

from chat4all.domain.errors import FieldError
from chat4all.domain.text import UnfitText

if TYPE_CHECKING:
    from precis_i18n.profile import Profile

PASSWORD_MIN = 8
"""Characters, as NIST SP 800-63B asks for; no rules of composition."""

PASSWORD_MAX_BYTES = 72
"""bcrypt ignores what comes after; refusing is safer than truncating."""

_RAW_MAX = 4 * PASSWORD_MAX_BYTES
"""Characters: of a longer one more than `PASSWORD_MAX_BYTES` are left in any normal form."""


def normal_password(password: str) -> str:
    """Return the form of a password that is hashed. Raises `UnfitText` for one that has none."""
    if password.isascii() and password.isprintable():
        return password
    if len(password) > _RAW_MAX:
        raise UnfitText(f"at most {PASSWORD_MAX_BYTES} bytes in UTF-8")
    try:
        normal: str = _opaque_string().enforce(password)
    except UnicodeEncodeError:  # it has the password: neither shown nor kept as a cause
        normal = ""
    if not normal:
        raise UnfitText("characters that a password cannot have: controls, or invisible ones")
    return normal


def password_errors(password: str) -> list[FieldError]:
    """Return what is wrong with a new password, without its text."""
    try:
        normal = normal_password(password)
    except UnfitText as error:
        return [FieldError("/password", str(error))]
    if len(normal) < PASSWORD_MIN:
        return [FieldError("/password", f"at least {PASSWORD_MIN} characters")]
    if len(normal.encode()) > PASSWORD_MAX_BYTES:
        return [FieldError("/password", f"at most {PASSWORD_MAX_BYTES} bytes in UTF-8")]
    return []


@cache
def _opaque_string() -> "Profile":
    # Imported when the first password needs it: a start does not pay for it.
    from precis_i18n import get_profile  # noqa: PLC0415

    return get_profile("OpaqueString", unicodedata=unicodedata2)
