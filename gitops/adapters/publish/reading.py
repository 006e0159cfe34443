"""A question about one model comes in; what the target branch says about it goes out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.errors import InputError
from gitops.release import Carried, Target, parse_carried, parse_tag
from gitops.waiver import WaiverFile, find_entry_problem, is_waiver_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.adapters.publish.clone import Clone
    from gitops.config import ModelConfig

FILE_LIMIT = 1 << 20
_SHA = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PEELED = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to read from the target branch about one model.

    Attributes:
        config: the model.
        source: commit id since which changes of `inputs` count, or empty.
        inputs: repository paths, files or folders, that count.
        outputs: paths that do not, although they may lie in a folder of `inputs`; files in a folder
            that is named here are outputs as well.
    """

    config: ModelConfig
    source: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def read_target_of(clone: Clone, question: Question) -> Target:
    """Fetch, and answer the question."""
    if question.source and not _SHA.fullmatch(question.source):
        raise InputError(f"{question.source[:60]!r} is not a commit id")
    tip, tags = _fetch(clone, question.config.name)
    known = bool(question.source) and clone.is_ancestor(question.source, tip)
    commit = clone.repo.commit(question.source) if known else None
    tagged = _read_tagged(clone, question.config, tags)
    return Target(
        branch=clone.remote.branch,
        commit=tip,
        source_date=commit.committed_datetime.isoformat() if commit else "",
        source_message=str(commit.message) if commit else "",
        changed=_read_changed(clone, question, tip) if known else (),
        carried=_read_carried(clone, question.config, tip),
        tagged=tuple(tagged.values()),
        taken=tuple(tags),
        lost=_find_lost(clone, tagged, tip),
        waivers=_read_waivers(clone, question.config.waivers, tip),
    )


def _fetch(clone: Clone, model: str) -> tuple[str, dict[str, str]]:
    """Return the tip of the branch, and the commit of each tag of the model."""
    if clone.branch_ref not in clone.read_refs(clone.branch_ref):
        raise InputError(
            f"the remote has no branch {clone.remote.branch!r}",
            where=clone.url,
            hint="push it first, or set target_branch in gitops.yaml",
        )
    clone.fetch(clone.branch_ref, f"refs/tags/{model}@*")
    lines = clone.run("for-each-ref", f"--format={_PEELED} %(refname)").splitlines()
    refs = {name: sha for sha, _, name in (line.partition(" ") for line in lines)}
    tip = refs.pop(clone.branch_ref)
    return tip, {name.removeprefix("refs/tags/"): sha for name, sha in refs.items()}


def _read_changed(clone: Clone, question: Question, tip: str) -> tuple[str, ...]:
    if not question.inputs:
        return ()
    options = ("diff-tree", "-r", "-z", "--name-only", "--no-renames")
    names = clone.run(*options, question.source, tip, "--", *question.inputs)
    outputs = {"", *question.outputs}
    changed = (name for name in names.split("\0") if name not in outputs)
    return tuple(name for name in changed if name.rpartition("/")[0] not in question.outputs)


def _read_tagged(clone: Clone, config: ModelConfig, tags: Mapping[str, str]) -> dict[str, Carried]:
    """Return the releases by tag; a tag on a commit without that release registers nothing."""
    versions = sorted((tag.version, name) for name in tags if (tag := parse_tag(name)))
    found = {}
    for version, name in versions:
        try:
            carried = _read_files(clone, config, tags[name], tags[name])
        except InputError:
            continue
        if carried is not None and carried.manifest.version == str(version):
            found[name] = carried
    return found


def _read_carried(clone: Clone, config: ModelConfig, tip: str) -> Carried | None:
    """Return what the tip carries, with the commit that put it there."""
    paths = (config.pointer, config.manifest)
    last = clone.run("log", "-1", "--format=%H", tip, "--", *paths)
    return _read_files(clone, config, tip, last or tip)


def _read_files(clone: Clone, config: ModelConfig, commit: str, named: str) -> Carried | None:
    listing = clone.run("ls-tree", "-z", "--long", commit, "--", config.pointer, config.manifest)
    files = dict(_read_entry(clone, entry) for entry in listing.split("\0") if entry)
    pointer, manifest = files.get(config.pointer), files.get(config.manifest)
    return parse_carried(pointer, manifest, config=config, commit=named)


def read_file(clone: Clone, commit: str, path: str) -> bytes | None:
    """Return a plain small file of a commit, None when there is none; InputError for anything else."""
    entry = clone.run("ls-tree", "-z", "--long", commit, "--", path).rstrip("\0")
    return _read_entry(clone, entry)[1] if entry else None


def _read_entry(clone: Clone, entry: str) -> tuple[str, bytes]:
    facts, _, path = entry.partition("\t")
    mode, _, sha, size = facts.split()
    if mode not in {"100644", "100755"} or int(size) > FILE_LIMIT:
        raise InputError(f"not a plain small file (mode {mode}, {size} bytes)", where=path)
    return path, clone.read_blob(sha)


def _read_waivers(clone: Clone, folder: str, tip: str) -> tuple[WaiverFile, ...]:
    listing = clone.run("ls-tree", "-r", "-z", "--long", tip, "--", folder)
    entries = (entry.partition("\t") for entry in listing.split("\0") if entry)
    return tuple(
        _read_waiver(clone, folder, path, facts.split())
        for facts, _, path in entries
        if is_waiver_path(folder, path)
    )


def _read_waiver(clone: Clone, folder: str, path: str, facts: list[str]) -> WaiverFile:
    mode, _, sha, size = facts
    problem = find_entry_problem(folder, path, mode, int(size) if size.isdigit() else 0)
    return WaiverFile(path=path, content=b"" if problem else clone.read_blob(sha), problem=problem)


def _find_lost(clone: Clone, tagged: Mapping[str, Carried], tip: str) -> str:
    """Return the tag of the last release when the branch does not contain it any more."""
    name = max(tagged, key=list(tagged).index, default="")
    return name if name and not clone.is_ancestor(tagged[name].commit, tip) else ""
