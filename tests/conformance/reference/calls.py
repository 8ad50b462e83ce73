"""The calls of the reference driver: tokens, retries, history."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx2

from tests.conformance.data import Json
from tests.conformance.running import Tell

TRIES = 10
PAGE = 200


class Failed(Exception):
    """A call failed, or the loop over the events ended: with the fields of its line."""

    def __init__(self, kind: str, **fields: Any) -> None:
        super().__init__(kind)
        self.fields: Json = {"error": kind, **fields}


class Calls:
    """What a program asks by HTTP."""

    def __init__(self, program: Json, tell: Tell, defects: Collection[str]) -> None:
        self._auth: Json = program["auth"]
        self._tokens = iter(self._auth.get("get_token", ()))
        self._pace: float = program["pace"]
        self._tell = tell
        self._is = defects.__contains__
        # There is no TLS, whose set-up takes a third of a second.
        self._http = httpx2.AsyncClient(base_url=program["url"], trust_env=False, verify=False)
        self._access: str | None = self._auth.get("token")
        self._refresh: str | None = None
        self.lasts = 1800.0
        self._is_refused = False
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    # Tokens.

    async def token(self) -> str:
        """Return the access token, the first one where there is none."""
        if self._access is None:
            await self.renew(None)
        assert self._access is not None
        return self._access

    async def renew(self, refused: str | None) -> None:
        """Get another token than the one that was refused, once for all who ask."""
        if self._is("refresh-each"):
            await self._renew()
            return
        async with self._renewing:
            if self._access == refused or self._is("refresh-late"):
                await self._renew()

    async def _renew(self) -> None:
        if self._is_refused or "token" in self._auth:
            raise Failed("NotSignedIn")
        if "get_token" in self._auth:
            self._tell({"type": "TokenAsked"})
            self._access = next(self._tokens, self._access)
            return
        form = {"username": self._auth["username"], "password": self._auth["password"]}
        if self._refresh is not None:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh}
        answer = await self._again_and_again("POST", "/token", data=form)
        if answer.status_code in {400, 401}:
            if self._is("password-again") and self._refresh is not None:
                self._refresh = None
                await self._renew()
                return
            self._is_refused = True
            raise Failed("NotSignedIn", status=answer.status_code)
        pair = answer.json()
        self._access, self._refresh = pair["access_token"], pair["refresh_token"]
        self.lasts = pair["expires_in"]

    # Requests.

    async def _again_and_again(self, method: str, path: str, **others: Any) -> httpx2.Response:
        """Return the first answer that is not to be tried again."""
        for tries in range(TRIES):
            seconds = float(tries)
            try:
                answer = await self._http.request(method, path, **others)
            except httpx2.HTTPError:
                pass
            else:
                tried_again = range(400, 600) if self._is("tries-all") else (429, 503)
                if answer.status_code not in tried_again:
                    return answer
                if not self._is("never-waits"):
                    seconds += float(answer.headers.get("Retry-After", 0))
            if self._is("new-id") and "message_id" in (others.get("json") or {}):
                others["json"]["message_id"] = str(uuid4())
            if self._is("gives-up"):
                break
            await asyncio.sleep(seconds * self._pace)
        raise Failed("Unavailable")

    async def _ask(self, method: str, path: str, **others: Any) -> httpx2.Response:
        while True:
            token = await self.token()
            headers = {"Authorization": f"Bearer {token}", **others.pop("headers", {})}
            answer = await self._again_and_again(method, path, headers=headers, **others)
            if answer.status_code != 401:
                break
            await self.renew(token)
        if answer.status_code >= 400:
            raise Failed("Refused", status=answer.status_code)
        return answer

    async def all_messages(self, conversation: str) -> tuple[list[Json], str]:
        """Return the whole history, and the position that its newest page was read at."""
        messages: list[Json] = []
        position = ""
        query: dict[str, int] | None = {"limit": PAGE}
        while query is not None:
            path = f"/v1/conversations/{conversation}/messages"
            answer = await self._ask("GET", path, params=query)
            page = answer.json()
            messages = page + messages
            position = position or answer.headers["Chat4All-Position"]
            query = None
            if "prev" in answer.links and not self._is("one-page"):
                query = {"limit": PAGE, "before": page[0]["seq"]}
        return messages, position

    async def do(self, action: Json) -> Json:
        """Do an action of a program, and return what its line has."""
        fields = {key: value for key, value in action.items() if key not in {"do", "after", "name"}}
        conversation = fields.get("conversation_id")
        path = f"/v1/conversations/{conversation}"
        message = f"{path}/messages/{fields.get('message_id')}"
        change = str(uuid4())
        match action["do"]:
            case "send":
                body = {"message_id": str(uuid4()), **fields, "chat_id": conversation}
                answer = await self._ask("POST", "/v1/messages", json=body)
                return {"message_id": answer.json()["message_id"]}
            case "edit":
                body = {"content": fields["content"], "change_id": change}
                await self._ask("PATCH", message, json=body)
            case "delete":
                await self._ask("DELETE", message, headers={"Idempotency-Key": f'"{change}"'})
            case "react" | "unreact" as kind:
                method = "PUT" if kind == "react" else "DELETE"
                key = {"Idempotency-Key": f'"{change}"'}
                await self._ask(method, f"{message}/reactions/{fields['emoji']}", headers=key)
            case "read":
                await self._ask("POST", f"{path}/read", json={"seq": fields["seq"]})
            case "history":
                messages, _ = await self.all_messages(fields["conversation_id"])
                if fields.get("direction", "older") == "older":
                    messages.reverse()
                return {"messages": messages[: fields.get("limit")]}
            case "conversations":
                answer = await self._ask("GET", "/v1/conversations")
                return {"conversations": answer.json()}
            case other:
                raise Failed("Refused", status=501, action=other)
        return {}
