"""A commit and the models defined there come in; what each model depends on, or why it cannot be run, goes out.

Only Git objects are read: file modes, object ids and the content of pointers, in a few batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import gitops
from gitops.adapters.git.repository import GitRepository, TreeEntry
from gitops.config import CONFIG_PATH, Config, ModelConfig
from gitops.errors import InputError
from gitops.plan import Inputs, Refusal
from gitops.pointer import (
    LOCK_BYTES,
    Pointer,
    check_outside,
    make_parents,
    parse_lock,
    parse_pointer,
    paths_to_check,
)

_PLAIN_MODES = frozenset({"100644", "100755"})
_ELSEWHERE = frozenset({"120000", "160000"})
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInputs:
    """What was found about one model at one commit; `inputs` is None when something is refused."""

    inputs: Inputs | None
    pointer: Pointer | None
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """The batches of Git objects that one commit's models need."""

    config: Config
    entries: Mapping[str, TreeEntry]
    pointers: Mapping[str, tuple[Pointer, ...] | InputError]
    modes: Mapping[str, str]


def read_inputs(repository: GitRepository, commit: str, config: Config) -> dict[str, ModelInputs]:
    """Read the inputs of every model of a config, by model name."""
    wanted = {path for model in config.models for path in _paths(config, model)}
    entries = repository.read_entries(commit, wanted)
    names = {path for model in config.models for path in pointer_candidates(model.data)}
    contents = repository.read_files(commit, names, limit=LOCK_BYTES)
    pointers = {path: _parse(content, path) for path, content in contents.items()}
    snapshot = _Snapshot(
        config=config,
        entries=entries,
        pointers=pointers,
        modes=repository.read_modes(commit, _paths_to_check(pointers.values())),
    )
    return {model.name: _read_model(snapshot, model) for model in config.models}


def _paths(config: Config, model: ModelConfig) -> Iterable[str]:
    yield from (model.pipeline_file, *model.sources, *pointer_candidates(model.data))
    # These are needed only to see where links are, and cost nothing in the same listing.
    yield from (model.data, *make_parents(model.data))
    yield from filter(None, (model.params, config.lock, _pipeline_file(config)))


def _parse(content: bytes, path: str) -> tuple[Pointer, ...] | InputError:
    """Return what a file tracks, or why it is refused: only a model that needs it is concerned."""
    try:
        return parse_lock(content, path) if _is_lock(path) else (parse_pointer(content, path),)
    except InputError as error:
        return error


def _is_lock(path: str) -> bool:
    return path.rpartition("/")[2] == "dvc.lock"


def _paths_to_check(found: Iterable[tuple[Pointer, ...] | InputError]) -> list[str]:
    parsed = [pointer for some in found if not isinstance(some, InputError) for pointer in some]
    return sorted({path for pointer in parsed for path in paths_to_check(pointer)})


def _pipeline_file(config: Config) -> str:
    return (config.experimental or "").rpartition(":")[0]


def pointer_candidates(data: str) -> tuple[str, ...]:
    """Return the files that may track a path: its own `.dvc`, a parent folder's, or a `dvc.lock`."""
    parents = [str(parent) for parent in PurePosixPath(data).parents][:-1]
    own = [f"{path}.dvc" for path in (data, *parents)]
    return (*own, *(f"{parent}/dvc.lock" for parent in parents), "dvc.lock")


def _read_model(snapshot: _Snapshot, model: ModelConfig) -> ModelInputs:
    refusals: list[Refusal] = []
    pointer = _attempt(refusals, lambda: _find_pointer(snapshot, model))
    sources = _attempt(refusals, lambda: _find_sources(snapshot, model))
    ids = _attempt(refusals, lambda: _find_ids(snapshot, model))
    if pointer is None or sources is None or ids is None:
        return ModelInputs(inputs=None, pointer=pointer, refusals=tuple(refusals))
    params, lock, pipeline = ids
    inputs = Inputs(
        data=((model.data, pointer.md5),),
        sources=sources,
        params=params,
        lock=lock,
        pipeline=pipeline,
    )
    return ModelInputs(inputs=inputs, pointer=pointer)


def _attempt(refusals: list[Refusal], read: Callable[[], T]) -> T | None:
    """Read one thing; a refusal is kept, so that a person sees all of them at once."""
    try:
        return read()
    except InputError as error:
        refusals.append(make_refusal(error))
        return None


def make_refusal(error: InputError) -> Refusal:
    """Turn an error about one file into a refusal that a plan can carry."""
    return Refusal(where=error.where, what=error.what, hint=error.hint)


def _find_pointer(snapshot: _Snapshot, model: ModelConfig) -> Pointer:
    for path in pointer_candidates(model.data):
        parsed = snapshot.pointers.get(path, ())
        if isinstance(parsed, InputError):
            raise parsed
        for pointer in parsed:
            if _covers(pointer.target, model.data):
                check_outside(pointer, snapshot.modes)
                return pointer
    raise InputError(
        f"{model.data} is not tracked by DVC at this commit",
        where=f"{CONFIG_PATH}: models.{model.name}.data",
        hint=f"dvc add {model.data} && git add {model.data}.dvc",
    )


def _find_sources(snapshot: _Snapshot, model: ModelConfig) -> tuple[tuple[str, str, str], ...]:
    found = []
    for source in dict.fromkeys((model.pipeline_file, *model.sources)):
        entry = snapshot.entries.get(source)
        if entry is None:
            key = "sources" if source in model.sources else "pipeline"
            raise _absent(model, key, source)
        refuse_link(entry.path, entry.mode)
        found.append((entry.path, entry.mode, entry.id))
    return tuple(sorted(found))


def refuse_link(path: str, mode: str) -> None:
    """Refuse a source whose content lies elsewhere; its fingerprint would not cover it."""
    if mode in _ELSEWHERE:
        raise InputError(
            "a link or submodule cannot be a source: its content lies elsewhere",
            where=path,
            hint="commit the file itself",
        )


def is_source(model: ModelConfig, path: str) -> bool:
    """Tell whether a file travels in the compiled pipeline of a model."""
    return any(_covers(source, path) for source in (model.pipeline_file, *model.sources))


def _covers(source: str, path: str) -> bool:
    return path == source or path.startswith(source + "/")


def _find_ids(snapshot: _Snapshot, model: ModelConfig) -> tuple[str, str, str]:
    """Return the object ids of params, environment lock and experimental pipeline."""
    pipeline = _pipeline_file(snapshot.config)
    return (
        _find_id(snapshot, model, "params", model.params),
        _find_id(snapshot, model, "lock", snapshot.config.lock),
        _find_id(snapshot, model, "pipelines.experimental", pipeline)
        or f"gitops {gitops.__version__}",
    )


def _find_id(snapshot: _Snapshot, model: ModelConfig, key: str, path: str | None) -> str:
    if not path:
        return ""
    entry = snapshot.entries.get(path)
    if entry is None or entry.mode not in _PLAIN_MODES:
        raise _absent(model, key, path)
    return entry.id


def _absent(model: ModelConfig, key: str, path: str) -> InputError:
    return InputError(
        f"{path} is not a file of this commit",
        where=f"{CONFIG_PATH}: models.{model.name}: {key}",
        hint=f"git add {path}, or correct {CONFIG_PATH}",
    )
