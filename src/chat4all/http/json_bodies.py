"""JSON bodies: one reader for all routes, so that they differ in no answer to a broken body."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import FieldInfo
from starlette.requests import Request

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.http.bodies import require_json
from chat4all.http.problems import BadRequest
from chat4all.wire.decoding import without_value
from chat4all.wire.nesting import NESTING_MAX, is_nested_too_deeply

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")

_SHORT = 2 * NESTING_MAX
"""Bytes of a body that cannot be nested deeper."""

DIGITS_MAX = 4_000
"""Python refuses to convert a longer integer."""

ERRORS_MAX = 20
"""Broken items of one list, or texts of one payload, that are named."""

_AT = re.compile(r"(?P<what>.*) - at `\$(?P<where>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")

_syntax = msgspec.json.Decoder(msgspec.Raw)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])
_encoder = msgspec.json.Encoder()


class BodyReader(Generic[T]):
    """Reads bodies of one type. Of a member that is repeated the last one counts.

    `rules` say of some fields which text they may have: each returns the value to keep, or raises
    `ValueError`. The rule of a list is about each of its items alone. `among` says what is wrong
    with the fields together: it gets the values of those that were given, `UNSET` for a broken one.
    """

    def __init__(
        self,
        shape: type[T],
        rules: Mapping[str, Callable[[Any], Any]] | None = None,
        among: Callable[[Mapping[str, Any]], Sequence[FieldError]] = lambda _: (),
    ) -> None:
        self._decoder = msgspec.json.Decoder(shape)
        self._rules = rules or {}
        self._applied = tuple(self._rules.items())
        self._among = among
        # What is broken is looked for a field at a time: the decoder itself stops at the first.
        self._parts = [_part(field) for field in msgspec.structs.fields(shape)]

    def read(self, body: bytes) -> T:
        """Return the body.

        Raises `BadRequest` with 400 for what is not JSON, and `InvalidInput` that names every
        broken field.
        """
        if len(body) > _SHORT or not body.isascii():
            _check_encoding(body)
        try:
            return self._read(body)
        except msgspec.ValidationError as error:
            _check_syntax(body)
            if errors := self._broken(body):
                raise InvalidInput(errors) from None
            return self._read_repeated(body, error)
        except (msgspec.DecodeError, RecursionError):
            raise not_json() from None
        except ValueError:  # a rule's
            raise InvalidInput(self._broken(body)) from None

    async def read_from(self, request: Request) -> T:
        """Return a request's body; raises what `read` does, and `BadRequest` with 415."""
        require_json(request.headers)
        return self.read(await request.body())

    def _read(self, body: bytes) -> T:
        value = self._decoder.decode(body)
        for field, rule in self._applied:
            text = getattr(value, field)
            if (kept := rule(text)) is not text:
                setattr(value, field, kept)
        return value

    def _read_repeated(self, body: bytes, error: msgspec.ValidationError) -> T:
        """Return a body of which only what does not count may be broken, or say what is.

        The decoder stops at a broken member, although another one of its name follows. Looking
        for those first would cost every body that is in order.
        """
        try:
            return self._read(_encoder.encode(_fields.decode(body)))
        except msgspec.ValidationError:
            raise InvalidInput([_field_error(str(error))]) from None

    def _broken(self, body: bytes) -> list[FieldError]:
        errors: list[FieldError] = []
        given: dict[str, Any] = {}
        try:
            fields = _fields.decode(body)
        except msgspec.ValidationError:
            return []  # it is no object at all
        for name, decoder in self._parts:
            value: Any = msgspec.UNSET
            # Of the body only this field, however large the others are.
            part = _of_one(name, fields[name]) if name in fields else b"{}"
            try:
                value = getattr(decoder.decode(part), name)
                if value is not msgspec.UNSET and name in self._rules:
                    value = self._rules[name](value)
            except msgspec.ValidationError as error:
                broken = _broken_items(name, decoder, part, self._rules.get(name))
                errors += broken or [_field_error(str(error))]
            except ValueError as error:
                value = msgspec.UNSET
                broken = _broken_items(name, decoder, part, self._rules.get(name))
                errors += broken or [FieldError(f"/{name}", str(error))]
            if name in fields:
                given[name] = value
        return [*errors, *self._among(given)]


def decode_body(body: bytes, decoder: msgspec.json.Decoder[V]) -> V:
    """Return a body as the decoder's type, for what programs of ours send.

    Raises `BadRequest` with 400 for what is not JSON and `InvalidInput` for the first broken rule.
    """
    _check_encoding(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        _check_syntax(body)
        raise InvalidInput([_field_error(str(error))]) from None
    except (msgspec.DecodeError, RecursionError):
        raise not_json() from None


def read_json(body: bytes) -> Any:
    """Return a body of any type. Raises `BadRequest` with 400 for what is not JSON."""
    _check_encoding(body)
    _check_syntax(body)
    # Of what msgspec takes for JSON. Its own untyped values end at numbers that the typed ones,
    # which pass over unknown fields, never look at.
    return json.loads(body, parse_int=_integer)


def not_json() -> BadRequest:
    """Return the refusal of a body that cannot be read."""
    return BadRequest(HTTPStatus.BAD_REQUEST, "the body is not JSON in UTF-8")


def _check_encoding(body: bytes) -> None:
    """Refuse what the decoders would judge by where in the body it stands."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            raise not_json() from None
    if is_nested_too_deeply(body):
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"the body is nested deeper than {NESTING_MAX}")


def _check_syntax(body: bytes) -> None:
    """Refuse what is not JSON, also after a field that breaks a rule."""
    try:
        _syntax.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise not_json() from None


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= DIGITS_MAX else float("inf")


def _part(field: FieldInfo) -> tuple[str, msgspec.json.Decoder[Any]]:
    """Return a field's name, and the decoder of a body that has this field only."""
    if field.required:
        only = msgspec.defstruct("Part", [(field.name, field.type)])
    else:
        only = msgspec.defstruct("Part", [(field.name, field.type, msgspec.UNSET)])
    return field.name, msgspec.json.Decoder(only)


def _of_one(name: str, value: bytes | msgspec.Raw) -> bytes:
    """Return a body that has this field only."""
    return b'{"%s":%s}' % (name.encode(), value)


def _broken_items(
    name: str,
    decoder: msgspec.json.Decoder[Any],
    part: bytes,
    rule: Callable[[Any], Any] | None,
) -> list[FieldError]:
    """Say what is wrong with the items of a field, where it is a list and they are: the first few.

    Each is read as the only one of its list.
    """
    errors: list[FieldError] = []
    try:
        items = _items.decode(part).get(name, [])
    except msgspec.ValidationError:
        return []  # no list
    for place, item in enumerate(items):
        if len(errors) == ERRORS_MAX:
            break
        try:
            only = getattr(decoder.decode(_of_one(name, b"[%s]" % bytes(item))), name)
            if rule is not None:
                rule(only)
        except msgspec.ValidationError as error:
            one = _field_error(str(error))
            below = one.pointer.removeprefix(f"/{name}/0")
            if below == one.pointer:
                break
            errors.append(FieldError(f"/{name}/{place}{below}", one.detail))
        except ValueError as error:  # the rule's
            errors.append(FieldError(f"/{name}/{place}", str(error)))
    return errors


def _field_error(text: str) -> FieldError:
    """Turn msgspec's "what - at `$.where`" into a pointer and a sentence."""
    at = _AT.match(text := without_value(text))
    what, where = (at["what"], at["where"]) if at else (text, "")
    if missing := _MISSING.match(what):
        return FieldError(_pointer(where) + "/" + missing["field"], "this field is missing")
    return FieldError(_pointer(where), what)


def _pointer(where: str) -> str:
    return re.sub(r"\[(\d+)\]", r"/\1", where.replace(".", "/"))
