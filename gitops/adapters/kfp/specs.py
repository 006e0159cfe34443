"""A compiled pipeline and what the server says it has come in; whether they are the same goes out.

Both are compared as protobuf messages, the form in which the server runs them: key order, spelling
of numbers and left-out defaults do not count; anything else does.
"""

from __future__ import annotations

from typing import Any

from gitops.errors import InputError, RefusedError

_MOST_DOCUMENTS = 2


def parse_compiled(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pipeline spec and the platform spec of a compiled pipeline.

    Raises InputError when it is not what the compiler writes.
    """
    import yaml

    # Safe, and the fast one where there is one.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = list(yaml.load_all(content, Loader=loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the compiled pipeline cannot be read: {error}") from error
    if not 1 <= len(documents) <= _MOST_DOCUMENTS or not all(map(_is_mapping, documents)):
        raise InputError("the compiled pipeline must be one or two YAML mappings")
    return documents[0], documents[1] if len(documents) > 1 else {}


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def check_read_back(content: bytes, found: object, where: str) -> None:
    """Raise RefusedError unless the server has exactly the pipeline that was sent."""
    pipeline, platform = parse_compiled(content)
    if not isinstance(found, dict) or not found:
        raise _refusal("the server does not show what it would run", where)
    nested = "pipeline_spec" in found
    theirs = found["pipeline_spec"] if nested else found
    their_platform = found.get("platform_spec") if nested else {}
    if not _is_same("PipelineSpec", pipeline, theirs):
        raise _refusal("the server has another pipeline under this name", where)
    if not _is_same("PlatformSpec", platform, their_platform or {}):
        raise _refusal("the server has other secrets, resources or nodes for this pipeline", where)


def _refusal(what: str, where: str) -> RefusedError:
    return RefusedError(
        f"{what}; it was not run",
        where=where,
        hint="somebody else may have uploaded it: look at this version in the Kubeflow page",
    )


def _is_same(message: str, sent: dict[str, Any], found: object) -> bool:
    from gitops.adapters.kfp.local import import_kfp

    import_kfp()
    from google.protobuf import json_format  # type: ignore[import-untyped]  # ships no types
    from kfp.pipeline_spec import pipeline_spec_pb2

    kind = getattr(pipeline_spec_pb2, message)
    try:
        mine = json_format.ParseDict(sent, kind())
    except (json_format.ParseError, TypeError, ValueError) as error:
        raise InputError(f"the compiled pipeline is not one: {str(error)[:300]}") from error
    try:
        theirs = json_format.ParseDict(found, kind())
    except (json_format.ParseError, TypeError, ValueError, AttributeError, RecursionError):
        return False
    return bool(mine == theirs)
