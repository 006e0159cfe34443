"""What Git says differs between two commits comes in; a set of classified changes goes out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING

from gitops.config import CONFIG_PATH, Config, ModelConfig
from gitops.errors import InputError
from gitops.pointer import make_parents

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from gitops.engines import Kserve


class Status(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"


class Kind(StrEnum):
    """What a file is for; of a rename's two files, the kind named first here counts."""

    POLICY = "policy"
    CONTROL = "control"
    DATA = "data"
    PARAMS = "params"
    CODE = "code"
    OUTPUT = "output"
    OTHER = "other"


_STATUSES = {
    "A": Status.ADDED,
    "M": Status.MODIFIED,
    "D": Status.DELETED,
    "R": Status.RENAMED,
    "T": Status.TYPE_CHANGED,
}
_ORDER = {kind: place for place, kind in enumerate(Kind)}
_CONTROL_FILES = {".gitlab-ci.yml", ".gitattributes", ".gitmodules", ".dvcignore", "dvc.yaml"}
_CONTROL_FOLDERS = {".dvc", ".gitlab", "ci"}
_LOCK_FILE = "dvc.lock"
_Models = set[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The commit to compare with, None when there is none to be had, and how it was chosen."""

    commit: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawChange:
    """One changed file as Git tells it; a mode of `000000` and an id of zeros stand for no file.

    Paths are relative to the root; bytes that are not UTF-8 are kept as lone surrogates.
    """

    status: Status
    path: str
    old_path: str | None
    old_mode: str
    new_mode: str
    old_id: str
    new_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One changed file, what it is for, and the models that it is an input of (or an output)."""

    path: str
    old_path: str | None
    status: Status
    kind: Kind
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """All that differs between two commits; with `everything`, no base was to be had.

    Attributes:
        base: the earlier commit, None when there is none.
        head: the later commit.
        everything: whether every model counts as changed, whatever `files` says.
        reason: how the base was chosen, or why there is none.
        files: every changed file.
    """

    base: str | None
    head: str
    everything: bool
    reason: str
    files: tuple[FileChange, ...]


def parse_raw_diff(output: bytes) -> tuple[RawChange, ...]:
    """Parse the output of `git diff --raw -z -M`; raise InputError when it is anything else."""
    if output and not output.endswith(b"\0"):
        raise InputError("git's list of changed files is cut short")
    fields = iter(output.decode("utf-8", "surrogateescape").split("\0")[:-1])
    try:
        return tuple(_make_raw_change(record, fields) for record in fields)
    except (StopIteration, ValueError, KeyError, RuntimeError) as error:
        raise InputError("git's list of changed files cannot be read") from error


def _make_raw_change(record: str, fields: Iterator[str]) -> RawChange:
    old_mode, new_mode, old_id, new_id, letter = record.split(" ")
    status = _STATUSES[letter[:1]]
    old_path = _next_path(fields) if status is Status.RENAMED else None
    return RawChange(
        status=status,
        path=_next_path(fields),
        old_path=old_path,
        old_mode=old_mode.removeprefix(":"),
        new_mode=new_mode,
        old_id=old_id,
        new_id=new_id,
    )


def _next_path(fields: Iterator[str]) -> str:
    path = next(fields, "")
    if not path:
        raise ValueError("a changed file without a name")
    return path


def make_change_set(
    raw: Iterable[RawChange],
    *,
    base: str | None,
    head: str,
    everything: bool,
    reason: str,
    config: Config,
    targets: Mapping[str, Collection[str]] | None = None,
) -> ChangeSet:
    """Say for each changed file what it is for and which models it touches.

    A pointer stands for its own path without `.dvc`, and a dvc.lock for all data below its folder,
    unless `targets` says, by the path of the pointer or lock, what it tracks.
    """
    index = _Index(config, targets or {})
    return ChangeSet(
        base=base,
        head=head,
        everything=everything,
        reason=reason,
        files=tuple(_classify(change, index) for change in raw),
    )


def make_served_paths(kserve: Kserve | None, model: ModelConfig) -> tuple[str, ...]:
    """Return where the rollout commits the manifest of a model's service; nowhere without a cluster."""
    return (f"{kserve.folder.rstrip('/')}/{model.serve.name}.yaml",) if kserve else ()


def _classify(change: RawChange, index: _Index) -> FileChange:
    """A file that moved counts where it was as well as where it is."""
    paths = [change.path] if change.old_path is None else [change.path, change.old_path]
    found = [index.find(path) for path in paths]
    return FileChange(
        path=change.path,
        old_path=change.old_path,
        status=change.status,
        kind=min((kind for kind, _ in found), key=_ORDER.__getitem__),
        models=tuple(sorted(set().union(*(models for _, models in found)))),
    )


class _Index:
    """Which models a path matters to, looked up by the path and the folders above it.

    Prepared once, so that a change costs as many look-ups as its path has parts, however many
    models there are.
    """

    def __init__(self, config: Config, targets: Mapping[str, Collection[str]]) -> None:
        self.targets = targets
        self.lock = config.lock
        self.everyone = {model.name for model in config.models}
        self.outputs = _group(
            (path, model)
            for model in config.models
            for path in (model.pointer, model.manifest, *make_served_paths(config.kserve, model))
        )
        self.served = f"{config.kserve.folder.rstrip('/')}/" if config.kserve else None
        self.waivers = _group((model.waivers, model) for model in config.models)
        self.params = _group((m.params, m) for m in config.models if m.params)
        self.sources = _group(pair for model in config.models for pair in _source_pairs(model))
        self.data = _group((model.data, model) for model in config.models)
        # A folder that is tracked as a whole holds the data of every model below it.
        self.data_below = _group(
            (path, model)
            for model in config.models
            for path in ("", model.data, *make_parents(model.data))
        )

    def find(self, path: str) -> tuple[Kind, _Models]:
        """Return what a path is for, and the models that it matters to."""
        data = self._find_data(path)
        if not data and (outputs := self.outputs.get(path) or self._find_waivers(path)):
            return Kind.OUTPUT, outputs
        if path == CONFIG_PATH:
            return Kind.POLICY, self.everyone
        own = data | self._find_sources(path) | self.params.get(path, set())
        # Whoever applies the manifests of models applies all that lies beside them.
        if _is_control(path) or (self.served and path.startswith(self.served)):
            return Kind.CONTROL, own
        if data or _is_pointer(path):
            return Kind.DATA, own
        if path in self.params:
            return Kind.PARAMS, own
        return Kind.CODE if own else Kind.OTHER, own

    def _find_waivers(self, path: str) -> _Models:
        folder = path.rpartition("/")[0]
        return self.waivers.get(folder, set()) if path.endswith(".json") else set()

    def _find_sources(self, path: str) -> _Models:
        if path == self.lock:
            return self.everyone
        above = (path, *make_parents(path), "")
        return set().union(*(self.sources.get(folder, ()) for folder in above))

    def _find_data(self, path: str) -> _Models:
        if path in self.targets:
            return set().union(*map(self._find_tracked, self.targets[path]))
        if path.endswith(".dvc"):
            return self.data_below.get(path.removesuffix(".dvc"), set())
        folder, _, name = path.rpartition("/")
        if name == _LOCK_FILE:
            return self.data_below.get(folder, set())
        return self._find_tracked(path)

    def _find_tracked(self, target: str) -> _Models:
        """Return the models whose data is this target, lies below it or contains it."""
        above = (self.data.get(folder, ()) for folder in make_parents(target))
        return set(self.data_below.get(target, ())).union(*above)


def _source_pairs(model: ModelConfig) -> Iterator[tuple[str, ModelConfig]]:
    for path in chain(model.sources, (model.pipeline_file,)):
        plain = path.removeprefix("./").rstrip("/")
        yield ("" if plain == "." else plain), model


def _group(pairs: Iterable[tuple[str, ModelConfig]]) -> Mapping[str, _Models]:
    groups: defaultdict[str, _Models] = defaultdict(set)
    for path, model in pairs:
        groups[path].add(model.name)
    return dict(groups)


def _is_pointer(path: str) -> bool:
    return path.endswith(".dvc") or path.rpartition("/")[2] == _LOCK_FILE


def _is_control(path: str) -> bool:
    folder = path.partition("/")[0] if "/" in path else ""
    return folder in _CONTROL_FOLDERS or path.rpartition("/")[2] in _CONTROL_FILES
