"""A verdict that does not pass and a person's decision come in; a waiver, to be merged, goes out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gitops.adapters import documents
from gitops.adapters.git.process import run_git
from gitops.config import ModelConfig
from gitops.errors import InputError
from gitops.flow.inputs import is_source
from gitops.flow.judging import find_applied_policy, read_verdict
from gitops.flow.releasing import find_inputs
from gitops.flow.workspace import Workspace
from gitops.gate.verdict import Outcome, Verdict
from gitops.plan import make_fingerprint
from gitops.pointer import make_parents
from gitops.release import check_bound
from gitops.waiver import (
    VALID_DAYS,
    WAIVER_LIMIT,
    Waiver,
    WaiverFile,
    Weighed,
    find_entry_problem,
    is_waiver_path,
    make_waiver,
    make_waiver_path,
    parse_day,
    waiver_to_json,
    weigh_waivers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A waiver as it was written, and its path in the repository."""

    waiver: Waiver
    path: str


def waive(
    workspace: Workspace,
    model: ModelConfig,
    *,
    reason: str,
    by: str,
    expires: str,
    today: date,
) -> Waived:
    """Write a waiver of the model's last verdict beside its pointer; it counts once it is merged.

    Args:
        workspace: repository and head; the verdict has to be about this head.
        model: whose verdict is waived.
        reason: why it is released all the same.
        by: who decides; empty for Git's user.
        expires: last day on which it counts, as 2026-12-31; empty for 30 days after the head commit.
        today: a waiver that is over already is refused.

    Raises:
        InputError: there is nothing to waive, or the decision is incomplete.
        RefusedError: the last verdict is about something else.
    """
    verdict = read_verdict(workspace, model.name)
    check_bound(
        verdict,
        model=model.name,
        fingerprint=make_fingerprint(model, find_inputs(workspace, model)),
        policy=find_applied_policy(workspace, model).policy.digest,
    )
    waiver = make_waiver(
        verdict,
        by=by or read_person(workspace, os.environ),
        why=reason,
        expires=parse_day(expires) if expires else _default_expiry(workspace),
        today=today,
    )
    path = make_waiver_path(model.waivers, verdict.key)
    _refuse_place(workspace, model, path)
    documents.write_document(workspace.root / path, "waiver", waiver_to_json(waiver))
    return Waived(waiver=waiver, path=path)


def read_today() -> date:
    """Return the day it is, in UTC, so that a waiver ends everywhere at once."""
    return datetime.now(UTC).date()


def read_person(workspace: Workspace, environ: Mapping[str, str]) -> str:
    """Return Git's user as `Name <e-mail>`; empty when it has no name."""
    name, email = (_read_setting(workspace, environ, f"user.{key}") for key in ("name", "email"))
    return f"{name} <{email}>" if name and email else name


def _read_setting(workspace: Workspace, environ: Mapping[str, str], key: str) -> str:
    command = ("config", "--get", key)
    _, output = run_git(workspace.root, command, environ=environ, allowed=(0, 1))
    return output.decode("utf-8", "replace").strip()


def _default_expiry(workspace: Workspace) -> date:
    made = workspace.repository.read_committed_at(workspace.request.head)
    return datetime.fromtimestamp(made, UTC).date() + timedelta(days=VALID_DAYS)


def _refuse_place(workspace: Workspace, model: ModelConfig, path: str) -> None:
    """Refuse a place where the waiver would land elsewhere, or change what it waives."""
    for part in (path, *make_parents(path)):
        if (workspace.root / part).is_symlink():
            raise InputError(
                "it is a symbolic link", where=part, hint="put a real one in its place"
            )
    if is_source(model, path):
        raise InputError(
            "waivers lie beside the pointer, and there they would be sources of the model",
            where=path,
            hint=f"move models.{model.name}.release.pointer out of its sources",
        )


def read_waivers(workspace: Workspace, model: ModelConfig, commit: str) -> tuple[WaiverFile, ...]:
    """Return what a commit holds in a model's folder of waivers."""
    repository, folder = workspace.repository, model.waivers
    listed = [entry.path for entry in repository.read_tree(commit, [folder])]
    paths = [path for path in listed if is_waiver_path(folder, path)]
    problems = {
        path: find_entry_problem(folder, path, entry.mode, entry.size)
        for path, entry in repository.read_entries(commit, paths).items()
    }
    plain = [path for path, problem in problems.items() if not problem]
    contents = repository.read_files(commit, plain, limit=WAIVER_LIMIT)
    return tuple(
        WaiverFile(path=path, content=contents.get(path, b""), problem=problems[path])
        for path in paths
    )


def weigh_head(workspace: Workspace, verdict: Verdict, *, today: date) -> Weighed:
    """Say whether the head commit holds a waiver that fits, or why those it brings along do not."""
    model, request = workspace.model(verdict.model), workspace.request
    files = read_waivers(workspace, model, request.head)
    weighed = weigh_waivers(files, verdict, today=today)
    if weighed.waiver is not None or not request.target:
        return weighed
    settled = set(read_waivers(workspace, model, request.target))
    fresh = [file for file in files if file not in settled]
    return weigh_waivers(fresh, verdict, today=today)


def find_next_steps(workspace: Workspace, verdict: Verdict, usual: str) -> Sequence[str]:
    """Return what to do next about a verdict: the usual, unless a waiver is there that fits it."""
    if verdict.outcome not in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        return (usual,)
    weighed = weigh_head(workspace, verdict, today=read_today())
    if weighed.waiver is None:
        # Nobody is talked into releasing what failed; where the rows cannot tell, a person must.
        decide = f'if a person decides for it: gitops waive {verdict.model} --reason "..."'
        undecided = verdict.outcome is Outcome.INCONCLUSIVE
        return (usual, *weighed.void, *([decide] if undecided else []))
    by, until = weighed.waiver.by, weighed.waiver.expires
    return (f"waived by {by} until {until}: may be merged ({weighed.path})",)
