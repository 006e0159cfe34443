"""A commit of the target branch comes in; what is not released yet is run, judged, released, served.

One pipeline does it: the experiment (or its stored result), judge, release, rollout. The functions
below `run_production` are the bodies of its steps.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from gitops import log
from gitops.adapters import documents
from gitops.config import ModelConfig, Promote, Zone
from gitops.errors import (
    GitopsError,
    InputError,
    OutsideError,
    RefusedError,
    UndecidedError,
)
from gitops.flow import engine
from gitops.flow.experiment import (
    finish_run,
    keep_result,
    make_engine_request,
    read_held,
)
from gitops.flow.inputs import read_inputs
from gitops.flow.judging import judge_run, read_verdict, write_verdict
from gitops.flow.records import find_release
from gitops.flow.releasing import find_waiver, release_last
from gitops.flow.reporting import show_report
from gitops.flow.rollouts import roll_out, write_rollout
from gitops.flow.trust import require_reviewed
from gitops.flow.workspace import Workspace, request_from_json
from gitops.gate.verdict import Outcome
from gitops.manifest import parse_version
from gitops.plan import make_fingerprint
from gitops.release import make_tag
from gitops.rollout import Rollout

T = TypeVar("T")
_ERROR = "error.json"
_WITH_ROLLOUT = "with_rollout"
_ERRORS: dict[int, type[GitopsError]] = {
    int(kind.exit_code): kind for kind in (RefusedError, InputError, OutsideError, UndecidedError)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What production does with one model, and why; `tag` is set when it is released already."""

    model: ModelConfig
    fingerprint: str
    reason: str
    tag: str = ""
    rolled_back: bool = False


def run_production(
    workspace: Workspace,
    model: ModelConfig,
    environ: Mapping[str, str],
    *,
    today: date,
    with_rollout: bool = True,
) -> None:
    """Bring one model's inputs at the head commit into production, or say why there is nothing to do.

    Without a rollout it ends with the release: another job, with other credentials, serves it.

    Raises RefusedError or UndecidedError when the gate does not let it pass and no waiver counts on
    this day, and the error of whichever step failed.
    """
    require_reviewed(workspace.request)
    shipment = find_shipment(workspace, model)
    if shipment.rolled_back:
        log.note(model.name, "skip", shipment.reason)
    elif shipment.tag:
        log.note(model.name, "reuse", shipment.reason)
        if with_rollout:
            _roll_out(workspace, model, environ)
    else:
        log.note(model.name, "run", shipment.reason)
        _run_pipeline(workspace, shipment, environ, today, with_rollout=with_rollout)


def find_shipment(workspace: Workspace, model: ModelConfig) -> Shipment:
    """Say whether the model's inputs are released, were rolled back, or are to be shipped."""
    found = read_inputs(workspace.repository, workspace.request.head, workspace.config)[model.name]
    if found.inputs is None:
        first = found.refusals[0]
        raise InputError(first.what, where=first.where, hint=first.hint)
    fingerprint = make_fingerprint(model, found.inputs)
    released = find_release(workspace, model, fingerprint)
    if released is None:
        reason = "its inputs are not released yet"
        return Shipment(model=model, fingerprint=fingerprint, reason=reason)
    tag, is_current = released
    reason = (
        f"its inputs are released as {tag} already"
        if is_current
        else f"{tag} has these inputs and was replaced or rolled back; it is not shipped again"
    )
    return Shipment(
        model=model,
        fingerprint=fingerprint,
        reason=reason,
        tag=tag,
        rolled_back=not is_current,
    )


def _run_pipeline(
    workspace: Workspace,
    shipment: Shipment,
    environ: Mapping[str, str],
    today: date,
    *,
    with_rollout: bool,
) -> None:
    model = shipment.model
    error_file = workspace.document(model.name, _ERROR)
    error_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="gitops-production-") as folder:
        request = _make_request(workspace, shipment, Path(folder) / "sources")
        request["arguments"]["request"]["today"] = today.isoformat()
        request["arguments"]["request"][_WITH_ROLLOUT] = with_rollout
        try:
            with log.section("production", f"production {model.name}"):
                engine.run_pipeline(
                    request,
                    Path(folder),
                    workspace.document(model.name, "production.log"),
                    environ=environ,
                )
        except (InputError, OutsideError):
            _raise_kept(error_file)
            raise


def _make_request(workspace: Workspace, shipment: Shipment, exported: Path) -> dict[str, Any]:
    """Return the engine's request: the experiment nested in production, or its stored result."""
    model = shipment.model
    held = read_held(workspace, model)
    request = make_engine_request(workspace, model, held.current.key, exported)
    request["arguments"]["request"]["fingerprint"] = shipment.fingerprint
    request["production"] = engine.find_composition(workspace.config, "production", exported)
    if _is_recalled(workspace, shipment):
        log.say("    the judged result of the same fingerprint is shipped as it is")
        del request["train"]
    return request


def _is_recalled(workspace: Workspace, shipment: Shipment) -> bool:
    promote = workspace.config.promote
    if promote is None:
        is_local = workspace.request.zone is Zone.LOCAL
        promote = Promote.GATED if is_local else Promote.REBUILT
    return promote is Promote.GATED and workspace.store.has("runs", shipment.fingerprint)


def judge_for_release(request: Mapping[str, Any], *, bundle: str, scores: str) -> str:
    """Judge what would ship; return the verdict's key: the body of the judge step."""
    return _keeping_errors(request, lambda: _judge(request, bundle, scores))


def _judge(request: Mapping[str, Any], bundle: str, scores: str) -> str:
    workspace = Workspace(request_from_json(request))
    model = workspace.model(workspace.request.model)
    fingerprint = str(request["fingerprint"])
    held = read_held(workspace, model)
    keep_result(workspace, fingerprint, held.current, {"model": bundle, "scores": scores}, ())
    run = finish_run(workspace, model.name, fingerprint, None, held, ())
    verdict = judge_run(workspace, run)
    write_verdict(workspace, verdict)
    show_report(workspace, None, run, verdict)
    if verdict.outcome is not Outcome.PASS:
        waiver = find_waiver(workspace, model, verdict, environ=os.environ, today=_today(request))
        log.note(model.name, "waived", f"by {waiver.by} until {waiver.expires}: {waiver.why}")
    return verdict.key


def _today(request: Mapping[str, Any]) -> date:
    return date.fromisoformat(request["today"])


def release_judged(request: Mapping[str, Any], *, verdict: str) -> str:
    """Release what was judged under this key; return its tag: the body of the release step."""
    return _keeping_errors(request, lambda: _release(request, verdict))


def _release(request: Mapping[str, Any], key: str) -> str:
    workspace = Workspace(request_from_json(request))
    model = workspace.model(workspace.request.model)
    if read_verdict(workspace, model.name).key != key:
        raise RefusedError("the verdict is not about this run", hint="run production again")
    release = release_last(
        workspace, model, today=_today(request), on_step=lambda step: log.say(f"release: {step}")
    )
    return release.tag


def roll_out_release(request: Mapping[str, Any], *, tag: str) -> str:
    """Serve a release; return where it answers, if this run serves: the body of the rollout step."""
    if not request.get(_WITH_ROLLOUT, True):
        log.say(f"rollout: {tag} is left to the next job")
        return ""
    return _keeping_errors(request, lambda: _roll_out_tag(request, tag))


def _roll_out_tag(request: Mapping[str, Any], tag: str) -> str:
    workspace = Workspace(request_from_json(request))
    rollout = _roll_out(workspace, workspace.model(workspace.request.model), os.environ)
    identity = rollout.identity
    if make_tag(identity.model, parse_version(identity.version)) != tag:
        raise RefusedError(f"{tag} was replaced before it was rolled out")
    return rollout.url


def _roll_out(workspace: Workspace, model: ModelConfig, environ: Mapping[str, str]) -> Rollout:
    rollout = roll_out(
        workspace, model, environ=environ, on_step=lambda step: log.say(f"rollout: {step}")
    )
    write_rollout(workspace, rollout)
    return rollout


def _keeping_errors(request: Mapping[str, Any], work: Callable[[], T]) -> T:
    """Leave an error where the command finds it: a pipeline knows only that a step failed."""
    try:
        return work()
    except GitopsError as error:
        own = request_from_json(request)
        place = Path(own.repository, own.documents, own.model, _ERROR)
        body = {
            "exit_code": int(error.exit_code),
            "what": error.what,
            "where": error.where,
            "hint": error.hint,
        }
        documents.write_document(place, "error", body)
        raise


def _raise_kept(place: Path) -> None:
    if place.exists():
        body = documents.read_document(place, "error")
        kind = _ERRORS[body.pop("exit_code")]
        raise kind(body.pop("what"), **body)
