"""Examples of what a JSON Schema describes, made from the examples of its fields."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_OF_TYPE: Mapping[str, Any] = {"string": "…", "integer": 1, "number": 1, "boolean": True}


def example_of(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Return a value that is valid; `schemas` are those that it refers to, by name.

    An object has its required fields, and the others that have an example of their own.
    """
    if (given := _given(schema)) is not None:
        return given
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    match schema:
        case {"enum": [first, *_]} | {"default": first}:
            return first
        case {"anyOf": kinds}:
            return None if {"type": "null"} in kinds else example_of(kinds[0], schemas)
        case {"type": "object"}:
            return _object(schema, schemas)
        case {"type": "array", "items": items}:
            return [example_of(items, schemas)]
    return _OF_TYPE.get(schema.get("type", ""))


def _object(schema: Schema, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if name in required:
            made[name] = example_of(field, schemas)
        # Two names of one thing have the same example; one of them is enough.
        elif (given := _given(field)) is not None and given not in made.values():
            made[name] = given
    return made


def _given(schema: Schema) -> Any:
    for one in (schema, *schema.get("anyOf", ())):
        if "examples" in one:
            return one["examples"][0]
    return None
