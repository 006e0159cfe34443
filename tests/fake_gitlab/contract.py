"""A request comes in; the endpoint that it is for, or what is wrong with it, goes out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

_PAGING = {"page": "integer", "per_page": "integer"}
_TYPES = {"string": r"(?s).*", "integer": r"\d+", "boolean": r"true|false|1|0"}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One line of `endpoints.json`: a method and path of GitLab's API, and what it takes."""

    name: str
    pattern: re.Pattern[str]
    scopes: tuple[str, ...]
    role: int
    query: dict[str, str | list[str]] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    takes_file: bool = False
    takes_job_token: bool = False


def read_endpoints() -> tuple[Endpoint, ...]:
    raw = json.loads(Path(__file__).with_name("endpoints.json").read_text("utf-8"))
    return tuple(_make_endpoint(name, facts) for name, facts in raw.items())


def _make_endpoint(name: str, facts: dict[str, Any]) -> Endpoint:
    reads = name.startswith("GET ")
    return Endpoint(
        name=name,
        pattern=re.compile(
            re.sub(r":(\w+)", r"(?P<\1>[^/]+)", re.escape(name).replace(r"\ ", " "))
        ),
        scopes=tuple(facts.get("scopes", ["api", "read_api"] if reads else ["api"])),
        role=facts.get("role", 0),
        query={**facts.get("query", {}), **(_PAGING if facts.get("paged") else {})},
        body=facts.get("body"),
        takes_file=facts.get("file", False),
        takes_job_token=facts.get("job_token", False),
    )


def find_endpoint(
    endpoints: tuple[Endpoint, ...], method: str, path: str
) -> tuple[Endpoint, dict[str, str]] | None:
    for endpoint in endpoints:
        if match := endpoint.pattern.fullmatch(f"{method} {path}"):
            return endpoint, {key: unquote(value) for key, value in match.groupdict().items()}
    return None


def find_problem(endpoint: Endpoint, query: dict[str, str], body: Any) -> str:
    """Say what GitLab's own description of the endpoint does not allow; empty when all is well."""
    for name, value in query.items():
        if name not in endpoint.query:
            return f"{name} is no parameter of {endpoint.name}"
        kind = endpoint.query[name]
        allowed = value in kind if isinstance(kind, list) else re.fullmatch(_TYPES[kind], value)
        if not allowed:
            return f"{name} does not have a valid value"
    if endpoint.takes_file:
        return "" if isinstance(body, dict) and "file" in body else "file is missing"
    if endpoint.body is None:
        return f"{endpoint.name} takes no body" if body else ""
    errors = Draft202012Validator(endpoint.body).iter_errors(body)
    return "; ".join(error.message[:200] for error in errors)
