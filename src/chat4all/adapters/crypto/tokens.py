"""Signed access tokens (RFC 7519), by PyJWT."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import jwt
from cachetools import LRUCache

from chat4all.adapters.crypto.secret import check_secret, key_id
from chat4all.domain.errors import NotSignedIn
from chat4all.domain.files import FileId
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import AccessToken, Session
from chat4all.domain.refresh_tokens import next_refresh_token

ALGORITHM = "HS256"
"""Pinned: a token that names another is refused unread (RFC 8725, section 3.1)."""

ISSUER = "chat4all"
AUDIENCE = "chat4all"
LINK_AUDIENCE = "chat4all-file"
"""Of links to files: they are no access tokens, and those are no links."""

TOKEN_MAX = 4096
CACHED_MAX = 10_000

_log = logging.getLogger(__name__)


class JwtTokens:
    """The ports `Tokens` and `FileLinks` of `ports.security`.

    Good signatures of tokens are cached; `exp` is compared every time.

    `secret` signs. Tokens that were signed with one of `accepted` are valid too, so that the key
    can be changed while users are signed in.
    """

    def __init__(self, secret: bytes, accepted: Sequence[bytes] = ()) -> None:
        self._secret = check_secret(secret)
        for key in accepted:
            check_secret(key, "a key of SECRET_KEYS_ACCEPTED")
        self._keys = {key_id(key): key for key in (secret, *accepted)}
        self._verified: LRUCache[str, Session] = LRUCache(CACHED_MAX)
        self._warned = False

    def issue(self, session: Session, now: int, lifetime_seconds: int) -> AccessToken:
        """Sign a token; see `ports.security.Tokens`."""
        until = min(now + lifetime_seconds, session.expires_at)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": session.username,
            "jti": session.session_id,
            "iat": now,
            "exp": until,
        }
        header = {"kid": key_id(self._secret)}
        return AccessToken(jwt.encode(claims, self._secret, ALGORITHM, header), max(0, until - now))

    def read(self, token: str, now: int) -> Session:
        """Return the session of a token; see `ports.security.Tokens`."""
        session = self._verified.get(token)
        if session is None:
            session = self._verify(token)
            self._verified[token] = session
        if session.expires_at <= now:
            raise NotSignedIn("this token has expired: sign in again")
        return session

    def refresh_successors(self, token: str) -> Sequence[str]:
        """Return the refresh tokens that follow one; see `ports.security.Tokens`."""
        return [next_refresh_token(token, key) for key in self._keys.values()]

    def issue_link(self, file_id: FileId, viewer: Username, until: int) -> str:
        """Sign a link; see `ports.security.FileLinks`."""
        claims = {
            "iss": ISSUER,
            "aud": LINK_AUDIENCE,
            "sub": viewer,
            "jti": file_id,
            "iat": until,
            "exp": until,
        }
        return jwt.encode(claims, self._secret, ALGORITHM, {"kid": key_id(self._secret)})

    def read_link(self, link: str, file_id: FileId, now: int) -> Username:
        """Return whose link it is; see `ports.security.FileLinks`."""
        try:
            if len(link) > TOKEN_MAX:
                raise jwt.InvalidTokenError
            claims = self._claims(link, LINK_AUDIENCE)
            if claims["jti"] != file_id or _whole(claims["exp"]) <= now:
                raise jwt.InvalidTokenError
            return Username(claims["sub"])
        except (jwt.InvalidTokenError, ValueError):
            raise NotSignedIn("this link is not good any more: ask for another one") from None

    def _verify(self, token: str) -> Session:
        try:
            if len(token) > TOKEN_MAX:
                raise jwt.InvalidTokenError
            claims = self._claims(token, AUDIENCE)
            return Session(SessionId(claims["jti"]), Username(claims["sub"]), _whole(claims["exp"]))
        except jwt.InvalidSignatureError:
            self._warn_of_another_secret(token)
            raise NotSignedIn(
                "this token was not signed with the SECRET_KEY of this service: sign in again; if "
                "that does not help, its operator must set the same SECRET_KEY for all gateways "
                "and metadata services"
            ) from None
        except (jwt.InvalidTokenError, ValueError):
            raise NotSignedIn("this token is not good: sign in again") from None

    def _claims(self, token: str, audience: str) -> dict[str, Any]:
        named = jwt.get_unverified_header(token).get("kid")
        # Earlier releases named no key.
        keys = self._keys.values() if named is None else [self._keys.get(named)]
        for key in keys:
            if key is None:
                break
            with suppress(jwt.InvalidSignatureError):
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=audience,
                    issuer=ISSUER,
                    # `read` compares `exp` with its `now`.
                    options={
                        "require": ["iss", "aud", "sub", "jti", "iat", "exp"],
                        "verify_exp": False,
                        "verify_iat": False,
                    },
                )
                return claims
        raise jwt.InvalidSignatureError

    def _warn_of_another_secret(self, token: str) -> None:
        """Warn, once, of a token that looks as if another gateway had signed it."""
        if self._warned:
            return
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return
        if (claims.get("iss"), claims.get("aud")) == (ISSUER, AUDIENCE):
            self._warned = True
            _log.warning(
                "a token was not signed with this SECRET_KEY: if nobody has changed it, set the "
                "same SECRET_KEY for all gateways and metadata services"
            )


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not a whole number")
    return value
