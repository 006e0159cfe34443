"""YAML bytes that a stranger may have written come in; plain values, and the line of each, go out.

Refused: anything but UTF-8, aliases (bombs), tags, duplicate keys, deep or huge documents, numbers
that are not finite. Scalars follow the safe loader.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import yaml

from gitops.errors import InputError

MAX_DEPTH = 20
MAX_NODES = 50_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedYaml:
    """Plain values (mappings, lists, scalars) and, for error messages, the line of each of them."""

    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line (from 1) of a path, or of its nearest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse_yaml(content: bytes, where: str, *, limit: int) -> ParsedYaml:
    """Parse one YAML document of at most `limit` bytes; raise InputError naming file and line."""
    text = _decode(content, where, limit)
    loader = _LOADER(text)
    try:
        _refuse_depth(text, where)
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        value = _Constructor(loader, where, lines).construct(node, ()) if node else None
    except yaml.YAMLError as error:
        raise InputError(_explain(error), where=where) from error
    except RecursionError as error:
        raise InputError("the document is nested too deeply", where=where) from error
    finally:
        loader.dispose()
    return ParsedYaml(value=value, lines=lines)


def _decode(content: bytes, where: str, limit: int) -> str:
    if len(content) > limit:
        raise InputError(f"larger than the {limit:,} bytes that such a file may have", where=where)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", where=where) from error
    return text


def _refuse_depth(text: str, where: str) -> None:
    """Refuse deep nesting from the stream of events: composing a tree would overflow the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH + 1:
            raise InputError("the document is nested too deeply or too large", where=where)


def _explain(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not valid YAML"
    context = getattr(error, "context", None)
    text = f"{context}: {problem}" if context else str(problem)
    return f"line {mark.line + 1}: {text}" if mark else text


class _Constructor:
    """Turns nodes into values, keeping lines and refusing what a plain document never needs."""

    def __init__(self, loader: Any, where: str, lines: dict[Path, int]) -> None:
        self.loader = loader
        self.where = where
        self.lines = lines
        self.seen: set[int] = set()

    def construct(self, node: yaml.Node, path: Path) -> Any:
        self._refuse_excess(node, path)
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct(child, (*path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _refuse_excess(self, node: yaml.Node, path: Path) -> None:
        if id(node) in self.seen:
            raise self._error(node, "aliases are not allowed here")
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH or len(self.seen) > MAX_NODES:
            raise self._error(node, "the document is nested too deeply or too large")
        if not str(node.tag).startswith("tag:yaml.org,2002:"):
            raise self._error(node, f"the tag {node.tag!r} is not allowed here")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in values:
                raise self._error(key_node, f"the key {key!r} appears twice")
            values[key] = self.construct(value_node, (*path, key))
        return values

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            raise self._error(node, "a key must be text")
        return str(node.value)

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = self.loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise self._error(node, f"not a valid value: {error}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, "a number must be finite")
        return value

    def _error(self, node: yaml.Node, what: str) -> InputError:
        return InputError(f"line {node.start_mark.line + 1}: {what}", where=self.where)
