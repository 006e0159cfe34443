"""Server-side apply: a live object and what a manager applies come in; the merged object, with its owners, goes out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str, ...]
Body: TypeAlias = dict[str, Any]

# What the server itself writes, and what names the object, belongs to nobody.
_UNOWNED = {
    ("apiVersion",),
    ("kind",),
    ("status",),
    *(
        ("metadata", key)
        for key in (
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
        )
    ),
}
_ABSENT = object()


class FieldConflictError(Exception):
    """Another manager owns a field and has given it another value."""

    def __init__(self, conflicts: list[tuple[str, Path]]) -> None:
        named = "; ".join(f'"{manager}": .{".".join(path)}' for manager, path in conflicts)
        super().__init__(f"Apply failed with {len(conflicts)} conflict(s): conflicts with {named}")


def apply(live: Body, applied: Body, manager: str, *, force: bool) -> Body:
    """Merge what a manager wants into the live object; raise FieldConflictError unless it is forced.

    Maps merge by key, lists are replaced whole. A field that the manager applied before and leaves
    out now disappears, unless someone else owns it too.
    """
    wanted = find_leaves(applied)
    owners = _read_owners(live)
    conflicts = _find_conflicts(live, applied, owners, (manager, "Apply"))
    if conflicts and not force:
        raise FieldConflictError([(owner[0], path) for owner, path in conflicts])
    for owner, path in conflicts:
        owners[owner].discard(path)
    dropped = owners.get((manager, "Apply"), set()) - wanted
    owners[manager, "Apply"] = wanted
    kept = set().union(*owners.values())
    merged = copy.deepcopy(live)
    for path in dropped - kept:
        if not any(other[: len(path)] == path for other in kept):
            _remove(merged, path)
    _merge(merged, applied)
    return _with_owners(merged, owners, applied.get("apiVersion", ""))


def update(live: Body, changed: Body, manager: str) -> Body:
    """Give the manager what it changed by POST, PUT or a merge patch, without asking anyone."""
    owners = _read_owners(live)
    before, after = find_leaves(live), find_leaves(changed)
    gone = before - after
    mine = {path for path in after if _value(changed, path) != _value(live, path)}
    for paths in owners.values():
        paths.difference_update(gone | mine)
    if mine:
        owners[manager, "Update"] = owners.get((manager, "Update"), set()) | mine
    return _with_owners(copy.deepcopy(changed), owners, changed.get("apiVersion", ""))


def find_leaves(body: Body) -> set[Path]:
    """Return the paths of everything that a manager can own."""
    return {path for path in _walk(body, ()) if not _is_unowned(path)}


def _is_unowned(path: Path) -> bool:
    return any(path[: len(each)] == each for each in _UNOWNED)


def _walk(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _walk(each, (*path, key))
    elif path:
        yield path


Owner: TypeAlias = tuple[str, str]


def _find_conflicts(
    live: Body, applied: Body, owners: dict[Owner, set[Path]], me: Owner
) -> list[tuple[Owner, Path]]:
    return [
        (owner, path)
        for owner, paths in owners.items()
        if owner != me
        for path in sorted(paths)
        if _overrides(live, applied, path)
    ]


def _overrides(live: Body, applied: Body, path: Path) -> bool:
    """Tell whether applying replaces what is at a path of the live object."""
    found: Any = applied
    for part in path:
        if not isinstance(found, dict):
            return True
        if part not in found:
            return False
        found = found[part]
    return bool(found != _value(live, path))


def _value(body: Body, path: Path) -> Any:
    found: Any = body
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return _ABSENT
        found = found[part]
    return found


def _remove(body: Body, path: Path) -> None:
    """Remove a field, and the maps that are empty without it."""
    parent = _value(body, path[:-1])
    if not isinstance(parent, dict):
        return
    parent.pop(path[-1], None)
    if not parent and len(path) > 1:
        _remove(body, path[:-1])


def _merge(target: Body, source: Body) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


def _read_owners(live: Body) -> dict[Owner, set[Path]]:
    entries = live.get("metadata", {}).get("managedFields", [])
    return {
        (entry["manager"], entry["operation"]): set(_parse(entry["fieldsV1"], ()))
        for entry in entries
    }


def _parse(fields: Body, path: Path) -> Iterator[Path]:
    if not fields and path:
        yield path
    for key, inner in fields.items():
        yield from _parse(inner, (*path, key.removeprefix("f:")))


def _render(paths: set[Path]) -> Body:
    root: Body = {}
    for path in sorted(paths):
        place = root
        for part in path:
            place = place.setdefault(f"f:{part}", {})
    return root


def _with_owners(body: Body, owners: dict[Owner, set[Path]], version: str) -> Body:
    body.setdefault("metadata", {})["managedFields"] = [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": version,
            "time": now(),
            "fieldsType": "FieldsV1",
            "fieldsV1": _render(paths),
        }
        for (manager, operation), paths in owners.items()
        if paths
    ]
    return body


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
