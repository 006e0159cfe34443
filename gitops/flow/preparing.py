"""A model and a commit come in; its data, fetched by hash and split into both sides, lies in the store afterwards."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.adapters import documents, dvc
from gitops.config import Config, ModelConfig
from gitops.digest import make_digest
from gitops.errors import InputError
from gitops.flow.inputs import read_inputs
from gitops.flow.pods import run_step
from gitops.flow.workspace import Workspace
from gitops.pointer import Pointer
from gitops.run import HoldoutRows
from gitops.table import (
    Split,
    Table,
    concatenate,
    parse_table,
    render_csv,
    render_holdout,
    render_labels,
    split_table,
)

if TYPE_CHECKING:
    from gitops.gate.profile import DataProfile

FETCH_TIMEOUT = 1800.0
TRAIN, HOLDOUT, LABELS = "train.csv", "holdout.jsonl", "labels.jsonl"
_SUMMARY, _PROFILE = "rows.json", "profile.json"
# What a split's folder holds: a folder that an older version left is made again.
_LAYOUT = 2
_TABULAR = (".csv", ".tsv", ".txt", ".data")


def read_data_pointer(workspace: Workspace, commit: str, config: Config, name: str) -> Pointer:
    """Return the pointer that tracks a model's data at a commit; InputError when it is refused."""
    found = read_inputs(workspace.repository, commit, config)[name]
    if found.pointer is None:
        raise InputError("; ".join(f"{r.where}: {r.what}" for r in found.refusals))
    return found.pointer


def make_split_key(model: ModelConfig, pointer: Pointer) -> str:
    """Return the key of a split: the data, and how it is read and divided."""
    definition = model.definition
    kept = {key: definition[key] for key in ("data", "target", "task", "missing", "holdout")}
    return make_digest({"layout": _LAYOUT, "md5": pointer.md5, **kept})


def split_data(workspace: Workspace, model: ModelConfig, pointer: Pointer) -> HoldoutRows:
    """Make sure that the store has both sides of the data; return what the held-out side is."""
    key = make_split_key(model, pointer)
    if not workspace.store.has("splits", key):
        table = _fetch_table(workspace, model, pointer)
        split = split_table(
            table, target=model.target, holdout=model.holdout, where=model.data, task=model.task
        )
        profile = _profile(table, split, model, pointer)
        workspace.store.write_folder(
            "splits", key, lambda folder: _write_split(split, profile, folder)
        )
    summary = documents.parse_json(
        (workspace.store.find("splits", key) / _SUMMARY).read_bytes(), _SUMMARY
    )
    return HoldoutRows(key=key, data=pointer.md5, **summary)


def _fetch_table(workspace: Workspace, model: ModelConfig, pointer: Pointer) -> Table:
    with tempfile.TemporaryDirectory(prefix="gitops-data-") as scratch:
        fetched = dvc.fetch(
            workspace.remote,
            pointer,
            cache=workspace.cache,
            repository=workspace.root,
            destination=Path(scratch) / "data",
            timeout=FETCH_TIMEOUT,
        )
        inner = model.data.removeprefix(pointer.target).lstrip("/")
        return read_table(fetched / inner if inner else fetched, model)


def _profile(table: Table, split: Split, model: ModelConfig, pointer: Pointer) -> DataProfile:
    from gitops.gate.profile import make_profile

    return make_profile(table, split, target=model.target, task=model.task, data=pointer.md5)


def read_table(path: Path, model: ModelConfig) -> Table:
    """Read a delimited file, or every such file of a folder in the order of their names."""
    if path.is_file():
        return parse_table(path.read_bytes(), model.data, missing=model.missing)
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in _TABULAR)
    if not files:
        raise InputError(
            f"no tabular file ({', '.join(_TABULAR)}) is tracked there",
            where=model.data,
            hint="name the file or folder that holds the rows in gitops.yaml",
        )
    tables = [
        parse_table(p.read_bytes(), f"{model.data}/{p.relative_to(path)}", missing=model.missing)
        for p in files
    ]
    return concatenate(tables, model.data)


def _write_split(split: Split, profile: DataProfile, folder: Path) -> None:
    from gitops.gate.profile import profile_to_json

    (folder / TRAIN).write_text(render_csv(split.train), "utf-8")
    (folder / HOLDOUT).write_text(render_holdout(split), "utf-8")
    (folder / LABELS).write_text(render_labels(split), "utf-8")
    summary = {"rows": len(split.ids), "train_rows": len(split.train.rows)}
    (folder / _SUMMARY).write_text(json.dumps(summary), "utf-8")
    body = json.dumps(profile_to_json(profile), allow_nan=False)
    (folder / _PROFILE).write_text(body, "utf-8")


def prepare_rows(request: Mapping[str, Any], *, train: str, holdout: str, labels: str) -> None:
    """Write both sides of a commit's data to the given paths: the body of the prepare step."""
    places = {TRAIN: train, HOLDOUT: holdout, LABELS: labels}
    run_step(request, "prepare", lambda own: _prepare(own, places))


def _prepare(workspace: Workspace, places: Mapping[str, str]) -> None:
    model = workspace.model(workspace.request.model)
    pointer = read_data_pointer(workspace, workspace.request.head, workspace.config, model.name)
    rows = split_data(workspace, model, pointer)
    place = workspace.store.find("splits", rows.key)
    _copy_files(place, places)
    print(f"{rows.train_rows} training rows, {rows.rows} held-out rows")  # a step's log


def _copy_files(folder: Path, places: Mapping[str, str]) -> None:
    for name, target in places.items():
        shutil.copyfile(folder / name, target)


def read_profile(workspace: Workspace, key: str) -> DataProfile:
    """Return the figures of a split's whole data."""
    from gitops.gate.profile import profile_from_json

    place = workspace.store.find("splits", key) / _PROFILE
    return profile_from_json(documents.parse_json(place.read_bytes(), str(place)))


def read_labels(workspace: Workspace, key: str) -> tuple[tuple[str, ...], tuple[float | str, ...]]:
    """Return ids and labels of a split's held-out rows: numbers, or classes as text."""
    bodies = read_json_lines(workspace.store.find("splits", key) / LABELS)
    return tuple(b["id"] for b in bodies), tuple(b["actual"] for b in bodies)


def read_held_out_columns(workspace: Workspace, key: str) -> dict[str, list[object]]:
    """Return the raw columns of a split's held-out rows, aligned with its labels."""
    bodies = read_json_lines(workspace.store.find("splits", key) / HOLDOUT)
    names = bodies[0]["row"] if bodies else {}
    return {name: [body["row"][name] for body in bodies] for name in names}


def read_json_lines(path: Path) -> list[Any]:
    """Read a file of JSON objects, one a line."""
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]
