"""A commit of the target branch comes in; what is not released yet is run, judged, released, served.

One pipeline does it: the experiment (or its stored result), judge, release, rollout. The functions
below `run_production` are the bodies of its steps.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from gitops import log
from gitops.config import ModelConfig, Promote, Zone
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.flow import engine
from gitops.flow.engines import EngineWork, Kind, run_engine
from gitops.flow.experiment import (
    finish_run,
    make_engine_request,
    read_held,
)
from gitops.flow.inputs import read_inputs
from gitops.flow.judging import judge_run, read_verdict, write_verdict
from gitops.flow.pods import forget_error, raise_kept_error, run_step
from gitops.flow.records import find_release
from gitops.flow.releasing import find_waiver, is_registered, release_last
from gitops.flow.reporting import show_report
from gitops.flow.results import keep_result
from gitops.flow.rollouts import roll_out, write_rollout
from gitops.flow.trust import require_reviewed
from gitops.flow.waiving import read_today
from gitops.flow.workspace import Workspace
from gitops.gate.verdict import Outcome
from gitops.manifest import parse_version
from gitops.plan import make_fingerprint
from gitops.release import make_tag
from gitops.rollout import Rollout

_WITH_ROLLOUT = "with_rollout"


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
    own = Workspace(replace(workspace.request, model=model.name), workspace.repository)
    forget_error(own)
    with tempfile.TemporaryDirectory(prefix="gitops-production-") as folder:
        request = _make_request(workspace, shipment, Path(folder) / "sources")
        request["arguments"]["request"]["today"] = today.isoformat()
        request["arguments"]["request"][_WITH_ROLLOUT] = with_rollout
        try:
            with log.section("production", f"production {model.name}"):
                run_engine(
                    own,
                    model,
                    EngineWork(kind=Kind.PRODUCTION, request=request, subject=shipment.fingerprint),
                    Path(folder),
                    environ,
                )
        except (InputError, OutsideError):
            raise_kept_error(own)
            raise
    is_remote = workspace.settled.kubeflow is not None
    if is_remote and not is_registered(own, model, shipment.fingerprint, environ):
        raise OutsideError(
            "the run succeeded, but no tag on the remote registers a release of it",
            hint="look who removed the tag, then run it again",
        )


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
        # A store that others write as well is not one's own machine.
        is_own = workspace.request.zone is Zone.LOCAL and workspace.store.remote is None
        promote = Promote.GATED if is_own else Promote.REBUILT
    return promote is Promote.GATED and workspace.store.has("runs", shipment.fingerprint)


def judge_for_release(request: Mapping[str, Any], *, bundle: str, scores: str) -> str:
    """Judge what would ship; return the verdict's key: the body of the judge step."""
    return run_step(request, "judge", lambda own: _judge(own, request, bundle, scores))


def _judge(workspace: Workspace, request: Mapping[str, Any], bundle: str, scores: str) -> str:
    model = workspace.model(workspace.request.model)
    fingerprint = str(request["fingerprint"])
    held = read_held(workspace, model)
    outputs = {"model": bundle, "scores": scores}
    keep_result(workspace, fingerprint, held.current.key, outputs, ())
    run = finish_run(workspace, model.name, fingerprint, None, held, ())
    verdict = judge_run(workspace, run)
    write_verdict(workspace, verdict)
    show_report(workspace, None, run, verdict)
    if verdict.outcome is not Outcome.PASS:
        waiver = find_waiver(workspace, model, verdict, environ=os.environ, today=_today(request))
        log.note(model.name, "waived", f"by {waiver.by} until {waiver.expires}: {waiver.why}")
    return verdict.key


def _today(request: Mapping[str, Any]) -> date:
    """Return the day that waivers have to count on; in a pod, which may start days later, its own."""
    return date.fromisoformat(request["today"]) if "today" in request else read_today()


def release_judged(request: Mapping[str, Any], *, verdict: str) -> str:
    """Release what was judged under this key; return its tag: the body of the release step."""
    return run_step(
        request, "release", lambda own: _release(own, request, verdict), after=("judge",)
    )


def _release(workspace: Workspace, request: Mapping[str, Any], key: str) -> str:
    model = workspace.model(workspace.request.model)
    if read_verdict(workspace, model.name).key != key:
        raise RefusedError("the verdict is not about this run", hint="run production again")
    say = _say_steps_of("release")
    return release_last(workspace, model, today=_today(request), on_step=say).tag


def roll_out_release(request: Mapping[str, Any], *, tag: str) -> str:
    """Serve a release; return where it answers, if this run serves: the body of the rollout step."""
    if not request.get(_WITH_ROLLOUT, True):
        log.say(f"rollout: {tag} is left to the next job")
        return ""
    return run_step(
        request, "rollout", lambda own: _roll_out_tag(own, tag), after=("judge", "release")
    )


def _roll_out_tag(workspace: Workspace, tag: str) -> str:
    rollout = _roll_out(workspace, workspace.model(workspace.request.model), os.environ)
    identity = rollout.identity
    if make_tag(identity.model, parse_version(identity.version)) != tag:
        raise RefusedError(f"{tag} was replaced before it was rolled out")
    return rollout.url


def _roll_out(workspace: Workspace, model: ModelConfig, environ: Mapping[str, str]) -> Rollout:
    rollout = roll_out(workspace, model, environ=environ, on_step=_say_steps_of("rollout"))
    write_rollout(workspace, rollout)
    return rollout


def _say_steps_of(stage: str) -> Callable[[str], None]:
    return lambda step: log.say(f"{stage}: {step}")


def produce_tip(request: Mapping[str, Any]) -> None:
    """Bring the target branch, as it is now, into production: the body of a schedule's only step."""
    run_step(request, "produce", _produce)


def _produce(workspace: Workspace) -> None:
    model = workspace.model(workspace.request.model)
    run_production(workspace, model, os.environ, today=read_today())
