"""Files in, validated values out: gitops.yaml, and the JSON documents that pass between stages.

The only importer of jsonschema. A document is checked against its shipped schema when it is written
and when it is read; what cannot be trusted to be finite, unique and small is refused.
"""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.config import CONFIG_PATH, Config, make_config
from gitops.errors import InputError
from gitops.strict_json import parse_value
from gitops.strict_yaml import ParsedYaml, parse_yaml

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

CONFIG_LIMIT = 1 << 20
DOCUMENT_LIMIT = 256 << 20


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    text = resources.files("gitops.schemas").joinpath(f"{name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


@cache
def parse_config(content: bytes, where: str = CONFIG_PATH) -> Config:
    """Parse and validate gitops.yaml; raise one InputError that lists every problem with its line."""
    parsed = parse_yaml(content, where, limit=CONFIG_LIMIT)
    problems = [_describe(error, parsed) for error in _leaves(_errors("config", parsed.value))]
    if problems:
        listed = "\n".join(f"  {problem}" for problem in sorted(set(problems), key=_line_of))
        raise InputError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''}\n{listed}",
            where=where,
            hint="the schema is gitops/schemas/config.schema.json; editors complete from it",
        )
    return make_config(parsed.value)


def _line_of(problem: str) -> tuple[int, str]:
    return int(problem.split(":", maxsplit=1)[0].removeprefix("line ")), problem


def _errors(name: str, value: Any) -> list[ValidationError]:
    return list(_validator(name).iter_errors(value))


def _leaves(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Yield the errors a person can mend: the branches of `oneOf` say less than their parent."""
    for error in errors:
        if error.validator == "propertyNames" and error.context:
            yield from error.context
        else:
            yield error


def _describe(error: ValidationError, parsed: ParsedYaml) -> str:
    path = tuple(error.absolute_path)
    place = ".".join(str(part) for part in path) or "the document"
    return f"line {parsed.line(path)}: {place}: {_explain(error)}"


def _explain(error: Any) -> str:
    """Say in plain words what the schema wants, with a guess at what was meant."""
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = sorted(error.schema.get("properties", {}))
        extra = [key for key in error.instance if key not in known]
        return "; ".join(f"unknown key {key!r}{_guess(key, known)}" for key in extra)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"missing {', '.join(repr(key) for key in missing)}"
    if error.validator == "enum":
        allowed = [str(value) for value in error.validator_value]
        guess = _guess(str(error.instance), allowed)
        return f"{error.instance!r} is not one of {', '.join(allowed)}{guess}"
    if error.validator == "anyOf":
        return "no rule: give at least one of min, max, max_regression, min_improvement"
    if error.validator == "minProperties":
        return "empty: a policy without a rule proves nothing" if _is_policy(error) else "empty"
    hint = error.schema.get("description", "")
    return f"{error.message}{f' ({hint})' if hint else ''}"


def _is_policy(error: ValidationError) -> bool:
    return "metrics" in error.absolute_path


def _guess(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def parse_json(content: bytes | str, where: str) -> Any:
    """Parse strict JSON: no NaN, no infinity, no key twice; InputError names the file."""
    try:
        return parse_value(content)
    except ValueError as error:
        raise InputError(f"not a valid document: {error}", where=where) from error


def validate(name: str, body: Any, where: str) -> None:
    """Check a document against its shipped schema; raise InputError naming the first problem."""
    error = next(iter(_validator(name).iter_errors(body)), None)
    if error is not None:
        place = "/".join(str(part) for part in error.absolute_path) or "the document"
        raise InputError(f"not a {name} document: {place}: {error.message[:300]}", where=where)


def read_document(path: Path, name: str) -> Any:
    """Read a stage's document; raise InputError when it is missing, too large or invalid."""
    try:
        if path.stat().st_size > DOCUMENT_LIMIT:
            raise InputError(f"larger than {DOCUMENT_LIMIT:,} bytes", where=str(path))
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {name} document here", where=str(path), hint=f"run: gitops {name} first"
        ) from error
    body = parse_json(content, str(path))
    validate(name, body, str(path))
    return body


def write_document(path: Path, name: str, body: Mapping[str, Any]) -> None:
    """Validate a stage's document and write it so that a reader sees the old or the new, never half."""
    text = json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    validate(name, json.loads(text), str(path))
    write_file(path, text)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file atomically: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
