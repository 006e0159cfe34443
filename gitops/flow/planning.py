"""A workspace comes in; the plan of a merge request goes out: what changed, so what must run, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitops import log
from gitops.adapters.ci import read_ci
from gitops.change import Base, ChangeSet, RawChange, Status, make_change_set
from gitops.config import ModelConfig
from gitops.errors import InputError, OutsideError
from gitops.flow.inputs import (
    ModelInputs,
    is_source,
    make_refusal,
    read_inputs,
    refuse_link,
)
from gitops.flow.workspace import Workspace
from gitops.plan import ModelState, Plan, Refusal, find_policy, make_fingerprint, make_plan
from gitops.pointer import LOCK_BYTES, Pointer, check_outside, parse_pointer, paths_to_check

REMOTE_TIMEOUT = 60.0


def plan_changes(workspace: Workspace, base: Base, *, check_remote: bool = True) -> Plan:
    """Plan what a head commit needs, compared with its base.

    Changed pointers are proven harmless, and their data present on the remote, before anything runs.
    """
    raw = workspace.repository.read_changes(base.commit, workspace.request.head)
    changes = make_change_set(
        raw,
        base=base.commit,
        head=workspace.request.head,
        everything=base.commit is None,
        reason=base.reason,
        config=workspace.config,
    )
    refusals = [
        *_linked_sources(workspace, raw),
        *_hostile_pointers(workspace, changes),
        *_forged_outputs(workspace, changes),
    ]
    after = read_inputs(workspace.repository, workspace.request.head, workspace.config)
    before = _read_before(workspace, base)
    if check_remote and not refusals:
        refusals += _missing_data(workspace, before, after)
    stored = _Stored(workspace)
    states = [
        _make_state(stored, model, before.get(model.name), after[model.name], refusals)
        for model in workspace.config.models
    ]
    return make_plan(changes, states, refusals)


def _linked_sources(workspace: Workspace, raw: Iterable[RawChange]) -> Iterable[Refusal]:
    """Refuse a source that became a link: no fingerprint covers what it points to."""
    for change in raw:
        try:
            refuse_link(change.path, change.new_mode)
        except InputError as error:
            if any(is_source(model, change.path) for model in workspace.config.models):
                yield make_refusal(error)


def _hostile_pointers(workspace: Workspace, changes: ChangeSet) -> Iterable[Refusal]:
    """Refuse each changed `.dvc` file that DVC must never see, whoever it belongs to."""
    head, repository = workspace.request.head, workspace.repository
    paths = [
        change.path
        for change in changes.files
        if change.path.endswith(".dvc") and change.status is not Status.DELETED
    ]
    contents = repository.read_files(head, paths, limit=LOCK_BYTES) if paths else {}
    parsed: list[Pointer] = []
    for path in paths:
        try:
            parsed.append(parse_pointer(contents[path], path))
        except InputError as error:
            yield make_refusal(error)
    modes = repository.read_modes(head, [p for pointer in parsed for p in paths_to_check(pointer)])
    for pointer in parsed:
        try:
            check_outside(pointer, modes)
        except InputError as error:
            yield make_refusal(error)


def _forged_outputs(workspace: Workspace, changes: ChangeSet) -> Iterable[Refusal]:
    """Refuse what no release or rollout wrote: outputs are never trained, so nobody judged it."""
    from gitops.flow.records import find_forged

    # A file that moved away is gone from where it was.
    paths = {path for change in changes.files for path in (change.path, change.old_path)}
    for model in workspace.config.models:
        touched = [path for path in (model.pointer, model.manifest) if path in paths]
        if touched:
            yield from find_forged(workspace, model, touched)
    if workspace.config.kserve or workspace.settled.kserve:
        from gitops.flow.served import find_edited

        yield from find_edited(workspace, changes)


def _read_before(workspace: Workspace, base: Base) -> Mapping[str, tuple[ModelConfig, ModelInputs]]:
    """Return each model of the base with its inputs; a base that cannot be read has none."""
    if base.commit is None:
        return {}
    try:
        config = workspace.read_config(base.commit)
    except InputError:
        config = None
    if config is None:
        return {}
    found = read_inputs(workspace.repository, base.commit, config)
    return {model.name: (model, found[model.name]) for model in config.models}


def _missing_data(
    workspace: Workspace,
    before: Mapping[str, tuple[ModelConfig, ModelInputs]],
    after: Mapping[str, ModelInputs],
) -> list[Refusal]:
    """Refuse models whose changed data is not on the remote, in one listing, before any training."""
    known = {found.pointer.md5 for _, found in before.values() if found.pointer}
    pointers = {
        found.pointer.path: found.pointer
        for found in after.values()
        if found.pointer and found.pointer.md5 not in known
    }
    if not pointers:
        return []
    from gitops.adapters import dvc

    missing = dvc.find_missing(
        workspace.remote, list(pointers.values()), cache=workspace.cache, timeout=REMOTE_TIMEOUT
    )
    counts: dict[str, int] = {}
    for absent in missing:
        counts[absent.pointer.path] = counts.get(absent.pointer.path, 0) + 1
    return [_explain_missing(workspace, pointers[path], n) for path, n in counts.items()]


def _explain_missing(workspace: Workspace, pointer: Pointer, count: int) -> Refusal:
    objects = "object is" if count == 1 else "objects are"
    return Refusal(
        where=pointer.path,
        what=f"{count} data {objects} not on the remote {workspace.remote.name!r}",
        hint=f"dvc push -r {workspace.remote.name} {pointer.path}",
    )


@dataclass(slots=True)
class _Stored:
    """What the store has; one that is silent has nothing, for a plan can only name too much."""

    workspace: Workspace
    is_silent: bool = False

    def has(self, fingerprint: str) -> bool:
        if self.is_silent:
            return False
        try:
            return self.workspace.store.has("runs", fingerprint)
        except OutsideError as error:
            # One question may take long: the next one is not asked.
            self.is_silent = True
            log.warn(f"what is stored already is not known: {error}")
            return False


def _make_state(
    store: _Stored,
    model: ModelConfig,
    before: tuple[ModelConfig, ModelInputs] | None,
    after: ModelInputs,
    refusals: Iterable[Refusal],
) -> ModelState:
    old, new = before and _fingerprint(*before), _fingerprint(model, after)
    policy = find_policy(store.workspace.target_config, model.name)
    pointer = after.pointer
    own = [r for r in refusals if pointer and r.where == pointer.path]
    return ModelState(
        config=model,
        before=old,
        after=new,
        policy_changed=policy is not None and policy.policy != model.policy,
        stored=new is not None and store.has(new),
        data_changed=_data_changed(before, after),
        refusals=(*after.refusals, *own),
    )


def _fingerprint(model: ModelConfig, found: ModelInputs) -> str | None:
    return make_fingerprint(model, found.inputs) if found.inputs else None


def _data_changed(before: tuple[ModelConfig, ModelInputs] | None, after: ModelInputs) -> bool:
    if before is None or before[1].pointer is None or after.pointer is None:
        return False
    return before[1].pointer.md5 != after.pointer.md5


def find_base(workspace: Workspace, environ: Mapping[str, str], named: str | None) -> Base:
    """Return the commit to compare with: the one named, CI's, or the merge base with the target."""
    repository, request = workspace.repository, workspace.request
    if named is not None:
        given = repository.read_commit(named) if named.strip("0") else named
        return repository.find_base(request.head, given, fetch=True)
    target = read_ci(environ).base or request.target_branch
    return repository.find_base(request.head, target, fetch=True)
