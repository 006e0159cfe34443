"""A judged bundle comes in; it is a version: bytes on the DVC remote, one commit, one tag."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters import documents, dvc
from gitops.adapters.publish import GitRemote, Question, publish, read_origin, read_target
from gitops.adapters.store import copy_plain
from gitops.change import make_served_paths
from gitops.config import CONFIG_PATH
from gitops.errors import InputError, RefusedError
from gitops.flow.forge_waiving import add_forge_waiver
from gitops.flow.inputs import pointer_candidates, read_inputs
from gitops.flow.judging import judge_run, read_run, read_verdict
from gitops.flow.trust import require_reviewed
from gitops.manifest import DataDigest, manifest_to_json
from gitops.plan import Inputs, find_policy, make_fingerprint
from gitops.release import (
    Candidate,
    PlannedCommit,
    Release,
    ReleaseStep,
    StepCallback,
    Target,
    check_bound,
    check_verdict,
    ignore_step,
    plan_release,
)
from gitops.waiver import Waiver, WaiverFile, make_waiver_path, weigh_waivers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.config import Config, ModelConfig
    from gitops.flow.workspace import Workspace
    from gitops.gate.verdict import Verdict
    from gitops.pointer import Pointer

PUSH_TIMEOUT = 1800.0


def release_model(
    workspace: Workspace,
    model: ModelConfig,
    *,
    verdict: Verdict,
    bundle: Path,
    environ: Mapping[str, str],
    today: date,
    on_step: StepCallback = ignore_step,
) -> Release:
    """Release the bundle that the verdict is about; a release that is there already changes nothing.

    The workspace's head is the commit, on the target branch, that was run.

    Args:
        workspace: repository, head and DVC remote.
        model: what to release, as the head commit defines it.
        verdict: on exactly this code, data, policy, champion and bundle; one that passes, or that
            a waiver on the target branch, or on its merge request on GitLab, speaks for.
        bundle: folder with the bundle's bytes.
        environ: environment for git and of the CI job; credentials come from there.
        today: the day on which a waiver has to count.
        on_step: called after each step.

    Raises:
        RefusedError: nothing speaks for it, or something newer speaks against it.
        UndecidedError: the gate could not tell.
        OutsideError: a remote failed; nothing half done is visible, run it again.
    """
    require_reviewed(workspace.request)
    candidate = _make_candidate(workspace, model, verdict, today)
    remote, question = make_remote(workspace, environ), make_question(workspace, model)
    target = read_target(remote, question)
    known = plan_release(candidate, _add_waivers(workspace, candidate, target, environ))
    if isinstance(known, Release):
        return known
    with tempfile.TemporaryDirectory(prefix="gitops-release-") as scratch:
        copy = _copy_judged(bundle, Path(scratch) / "bundle", verdict)
        on_step(ReleaseStep.VERIFIED)
        pointer, content = _store_bytes(workspace, model, copy, on_step)
    complete = replace(candidate, pointer=content, pointer_md5=pointer.md5)

    def plan(now: Target) -> PlannedCommit | Release:
        # Asked again right before each push: a waiver may have been taken back meanwhile.
        return plan_release(complete, _add_waivers(workspace, complete, now, environ))

    return publish(remote, question, plan, on_step=on_step)


def find_waiver(
    workspace: Workspace,
    model: ModelConfig,
    verdict: Verdict,
    *,
    environ: Mapping[str, str],
    today: date,
) -> Waiver:
    """Return the waiver, on the target branch or GitLab, that lets a verdict through which does not pass.

    Raises like `release_model` when there is none.
    """
    candidate = _make_candidate(workspace, model, verdict, today)
    target = read_target(make_remote(workspace, environ), make_question(workspace, model))
    waiver = check_verdict(candidate, _add_waivers(workspace, candidate, target, environ).waivers)
    if waiver is None:
        raise InputError(f"the verdict on {model.name} passes: it needs no waiver")
    return waiver


def _add_waivers(
    workspace: Workspace, candidate: Candidate, target: Target, environ: Mapping[str, str]
) -> Target:
    """Add what is said outside the target branch, unless nothing hangs on it."""
    complete = _add_unmerged(workspace, candidate, target)
    carried = target.carried
    if carried is not None and carried.manifest.release == candidate.release:
        return complete
    if weigh_waivers(target.waivers, candidate.verdict, today=candidate.today).waiver is not None:
        return complete
    return add_forge_waiver(workspace, candidate, complete, environ)


def _add_unmerged(workspace: Workspace, candidate: Candidate, target: Target) -> Target:
    """Name the waiver that lies in the work tree only: it counts for nothing, and its author wonders."""
    path = make_waiver_path(candidate.config.waivers, candidate.verdict.key)
    known = {file.path for file in target.waivers}
    if path in known or not (workspace.root / path).exists():
        return target
    problem = f"it is not on {target.branch} yet: commit it, and merge it"
    return replace(target, waivers=(*target.waivers, WaiverFile(path=path, problem=problem)))


def is_registered(
    workspace: Workspace, model: ModelConfig, fingerprint: str, environ: Mapping[str, str]
) -> bool:
    """Tell whether a tag on the remote registers a release of these inputs, as it is right now."""
    target = read_target(make_remote(workspace, environ), Question(config=model))
    return any(past.manifest.fingerprint == fingerprint for past in target.tagged)


def make_remote(workspace: Workspace, environ: Mapping[str, str]) -> GitRemote:
    """Return the remote of the checkout, with its target branch."""
    branch = workspace.request.target_branch.removeprefix("origin/")
    return GitRemote(url=read_origin(workspace.root), branch=branch, environ=environ)


def make_question(workspace: Workspace, model: ModelConfig) -> Question:
    """Ask about a model's release, and about what changed in its inputs since the head commit."""
    return Question(
        config=model,
        source=workspace.request.head,
        inputs=make_input_paths(workspace.config, model),
        outputs=make_output_paths(workspace.config),
    )


def make_input_paths(config: Config, model: ModelConfig) -> tuple[str, ...]:
    """Return the repository paths that a verdict on this model depends on."""
    named = (model.pipeline_file, model.params, config.lock, CONFIG_PATH)
    paths = {*pointer_candidates(model.data), *model.sources, *filter(None, named)}
    return tuple(sorted(paths))


def make_output_paths(config: Config) -> tuple[str, ...]:
    """Return what releases, waivers and rollouts write: it is nobody's input, wherever it lies."""
    return tuple(
        path
        for model in config.models
        for path in (
            *(model.pointer, model.manifest, model.waivers),
            *make_served_paths(config.kserve, model),
        )
    )


def release_last(
    workspace: Workspace, model: ModelConfig, *, today: date, on_step: StepCallback = ignore_step
) -> Release:
    """Release what the last run left, judged again here, and write the release document.

    A verdict document is only a file: it counts when judging the run anew gives the very same.
    """
    verdict = judge_run(workspace, read_run(workspace, model.name))
    if read_verdict(workspace, model.name) != verdict:
        raise RefusedError(
            f"the verdict on {model.name} is not what judging its last run gives",
            where=str(workspace.document(model.name, "verdict.json")),
            hint=f"run: gitops gate --model {model.name}",
        )
    release = release_model(
        workspace,
        model,
        verdict=verdict,
        bundle=workspace.store.find("bundles", verdict.candidate),
        environ=os.environ,
        today=today,
        on_step=on_step,
    )
    write_release(workspace, release)
    return release


def write_release(workspace: Workspace, release: Release) -> Path:
    """Write the release document of a model."""
    place = workspace.document(release.model, "release.json")
    documents.write_document(place, "release", release_to_json(release))
    return place


def release_to_json(release: Release) -> dict[str, object]:
    """Return the release document: where the release is, and its whole manifest."""
    return {
        "model": release.model,
        "tag": release.tag,
        "version": release.version,
        "commit": release.commit,
        "created": release.created,
        "manifest": manifest_to_json(release.manifest),
    }


def _make_candidate(
    workspace: Workspace, model: ModelConfig, verdict: Verdict, today: date
) -> Candidate:
    """Bind the verdict to the head commit and the target branch's policy, or refuse."""
    inputs = find_inputs(workspace, model)
    settled = find_policy(workspace.target_config, model.name)
    if settled is None:
        raise RefusedError(
            f"the target branch has no policy for {model.name}",
            hint="merge gitops.yaml first: rules that nobody reviewed release nothing",
        )
    bound = {"fingerprint": make_fingerprint(model, inputs), "policy": settled.policy.digest}
    check_bound(verdict, model=model.name, **bound)
    return Candidate(
        config=model,
        pointer=b"",
        pointer_md5="",
        source=workspace.request.head,
        data=tuple(DataDigest(path=path, md5=md5) for path, md5 in inputs.data),
        verdict=verdict,
        today=today,
        **bound,
    )


def find_inputs(workspace: Workspace, model: ModelConfig) -> Inputs:
    """Return what the head commit's model depends on; raise InputError when something is refused."""
    found = read_inputs(workspace.repository, workspace.request.head, workspace.config)[model.name]
    if found.inputs is None:
        raise InputError(
            "; ".join(f"{refusal.where}: {refusal.what}" for refusal in found.refusals)
        )
    return found.inputs


def _copy_judged(bundle: Path, copy: Path, verdict: Verdict) -> Path:
    """Copy the bundle aside, then compare: what is compared is what is shipped."""
    from gitops.serving.bundle import make_digest

    copy_plain(bundle, copy)
    if make_digest(copy) != verdict.candidate:
        raise RefusedError(
            "the bundle's bytes are not the ones that were judged",
            where=str(bundle),
            hint=f"run: gitops check, then gitops release {verdict.model}",
        )
    return copy


def _store_bytes(
    workspace: Workspace, model: ModelConfig, folder: Path, on_step: StepCallback
) -> tuple[Pointer, bytes]:
    """Bring the bytes to the DVC remote, and prove it, before Git speaks of them."""
    cache, remote = workspace.cache, workspace.remote
    target = model.pointer.removesuffix(".dvc")
    pointer, content = dvc.add_folder(folder, cache=cache, target=target)
    on_step(ReleaseStep.ADDED)
    dvc.push(remote, pointer, cache=cache, timeout=PUSH_TIMEOUT)
    on_step(ReleaseStep.PUSHED)
    dvc.prove(remote, pointer, cache=cache, timeout=PUSH_TIMEOUT)
    on_step(ReleaseStep.PROVEN)
    return pointer, content
