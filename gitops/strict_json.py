"""JSON bytes that a stranger may have written come in; plain values that fit go out, or a ValueError.

Documents that lie in Git beside a model are read with nothing else: `gitops plan` spares jsonschema.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any


def parse_value(content: bytes | str) -> Any:
    """Parse any JSON value: no key twice, no NaN or infinity, nothing too deep."""
    try:
        return json.loads(
            content,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_object(content: bytes, *, limit: int) -> dict[str, Any]:
    """Parse one JSON object of at most `limit` bytes, as `parse_value` does."""
    if len(content) > limit:
        raise ValueError(f"larger than {limit:,} bytes")
    return as_object(parse_value(content.decode("utf-8")), "the document")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key appears twice")
    return body


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def check_keys(body: dict[str, Any], expected: set[str], prefix: str = "") -> None:
    """Refuse an object that lacks a key or has one too many, naming them."""
    missing, unknown = sorted(expected - set(body)), sorted(set(body) - expected)
    if missing or unknown:
        named = [f"missing {prefix}{key}" for key in missing]
        named += [f"unknown {prefix}{key[:60]}" for key in unknown]
        raise ValueError("; ".join(named))


def check_version(body: dict[str, Any], version: int) -> None:
    """Refuse a document whose schema_version is not exactly this one."""
    if type(body["schema_version"]) is not int or body["schema_version"] != version:
        raise ValueError(f"schema_version {body['schema_version']!r} is unknown")


def as_text(value: object, key: str, pattern: str) -> str:
    """Return text that matches the whole pattern."""
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f"{key} has the unusable value {str(value)[:80]!r}")
    return value


def as_object(value: object, key: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not an object")  # noqa: TRY004 -- one family to catch
    return value


def as_list(value: object, key: str) -> list[Any]:
    """Return a JSON list."""
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")  # noqa: TRY004 -- one family to catch
    return value
