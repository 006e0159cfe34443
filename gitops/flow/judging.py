"""A run comes in; it is judged on the target branch's policy, and verdict and report documents go out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import yaml

from gitops.adapters import documents
from gitops.change import Kind
from gitops.config import CONFIG_PATH, ModelConfig
from gitops.flow.custom import read_custom_metrics
from gitops.flow.preparing import read_held_out_columns, read_labels, read_profile
from gitops.flow.scoring import kept_scores, read_inspection, read_scores
from gitops.flow.workspace import Workspace
from gitops.gate.evidence import Comparison, Evidence
from gitops.gate.formats import (
    render_junit,
    render_openmetrics,
    verdict_from_json,
    verdict_to_json,
)
from gitops.gate.judge import judge
from gitops.gate.verdict import Finding, Outcome, Verdict
from gitops.plan import Plan, find_policy
from gitops.policy import Policy, Tolerance
from gitops.report.columns import make_shift
from gitops.report.models import make_importance, make_serving
from gitops.report.page import DOCUMENTS, ChangeLine, Page
from gitops.report.points import read_points
from gitops.run import HoldoutRows, Run, Scores, run_from_json
from gitops.table import class_text


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """The policy that decides, where it comes from, and what a merge request would change in it."""

    policy: Policy
    note: str
    change: str
    findings: tuple[Finding, ...]


def find_applied_policy(workspace: Workspace, model: ModelConfig) -> AppliedPolicy:
    """Return the target branch's policy; a model that is new there is judged by its own, undecided."""
    settled = find_policy(workspace.target_config, model.name)
    if settled is None:
        return AppliedPolicy(
            policy=model.policy,
            note="The target branch has no policy for this model yet; its own was applied.",
            change="",
            findings=(_unsettled_policy(model),),
        )
    change = render_policy_change(settled.policy, model.policy)
    note = "The policy of the target branch was applied."
    if change:
        note += " The change below takes effect once it is merged."
    return AppliedPolicy(policy=settled.policy, note=note, change=change, findings=())


def _unsettled_policy(model: ModelConfig) -> Finding:
    return Finding(
        rule="policy.target",
        outcome=Outcome.INCONCLUSIVE,
        reason=(
            f"the target branch has no policy for {model.name} yet, so this merge request would be "
            "judged by rules that it brings along: a person decides about the rules, and with the "
            "merge they hold"
        ),
    )


def render_policy_change(old: Policy, new: Policy) -> str:
    """Return a unified diff of two policies as YAML, empty when they are equal."""
    before, after = _policy_lines(old), _policy_lines(new)
    diff = difflib.unified_diff(before, after, "target branch", "merge request", lineterm="", n=20)
    return "\n".join(diff)


def _policy_lines(policy: Policy) -> list[str]:
    return yaml.safe_dump(_plain(asdict(policy)), sort_keys=True).splitlines()


def _plain(value: Any) -> Any:
    """Write a policy as a person would: tolerances as text, nothing that is not set."""
    match value:
        case {"amount": float(amount), "relative": bool(relative)}:
            return str(Tolerance(amount=amount, relative=relative))
        case dict():
            return {key: _plain(item) for key, item in value.items() if item not in (None, ())}
        case list() | tuple():
            return [_plain(item) for item in value]
        case StrEnum():
            return str(value)
        case _:
            return value


def make_evidence(workspace: Workspace, model: ModelConfig, run: Run, policy: Policy) -> Evidence:
    """Read what a run left in the store and put it side by side, row by row."""
    champion, rows = run.champion, run.current
    return Evidence(
        model=model.name,
        target=model.target,
        fingerprint=run.fingerprint,
        candidate=run.bundle,
        champion=champion.bundle if champion else "",
        champion_reason=run.champion_reason,
        holdout_changed=champion is not None and champion.holdout != model.holdout.digest,
        current=_compare(workspace, run, run.current),
        earlier=_compare(workspace, run, run.earlier) if run.earlier else None,
        inputs=read_held_out_columns(workspace, rows.key),
        task=model.task,
        positive=class_text(model.positive) or "",
        inspection=read_inspection(workspace, run.bundle, rows.key),
        champion_inspection=(
            read_inspection(workspace, champion.bundle, rows.key) if champion else None
        ),
        profile=read_profile(workspace, rows.key),
        champion_profile=(read_profile(workspace, (run.earlier or rows).key) if champion else None),
        custom=read_custom_metrics(workspace, policy),
    )


def _compare(workspace: Workspace, run: Run, rows: HoldoutRows) -> Comparison:
    ids, actual = read_labels(workspace, rows.key)
    champion = run.champion
    return Comparison(
        ids=ids,
        actual=actual,
        candidate=_scores(workspace, run.bundle, rows.key),
        champion=_scores(workspace, champion.bundle, rows.key) if champion else None,
    )


def _scores(workspace: Workspace, bundle: str, key: str) -> Scores:
    return read_scores(kept_scores(workspace, bundle, key))


def judge_run(workspace: Workspace, run: Run) -> Verdict:
    """Judge a run; the same run and policy give the same verdict, bit for bit."""
    model = workspace.model(run.model)
    applied = find_applied_policy(workspace, model)
    evidence = make_evidence(workspace, model, run, applied.policy)
    return judge(evidence, applied.policy, also=applied.findings)


def write_verdict(workspace: Workspace, verdict: Verdict) -> None:
    """Write the verdict and its machine-readable forms."""
    place = workspace.document(verdict.model, "verdict.json")
    documents.write_document(place, "gate", verdict_to_json(verdict))
    documents.write_file(place.with_name("junit.xml"), render_junit(verdict))
    documents.write_file(place.with_name("metrics.txt"), render_openmetrics(verdict))


def read_run(workspace: Workspace, model: str) -> Run:
    """Read a model's run document."""
    return run_from_json(documents.read_document(workspace.document(model, "run.json"), "run"))


def read_verdict(workspace: Workspace, model: str) -> Verdict:
    """Read a model's verdict document."""
    place = workspace.document(model, "verdict.json")
    return verdict_from_json(documents.read_document(place, "gate"))


def make_page(
    workspace: Workspace,
    plan: Plan | None,
    run: Run,
    verdict: Verdict,
    commands: Sequence[str],
    *,
    waiver: str = "",
) -> Page:
    """Put together what a reviewer reads about one model; `waiver` says who let it through and why."""
    model = workspace.model(run.model)
    applied = find_applied_policy(workspace, model)
    evidence = make_evidence(workspace, model, run, applied.policy)
    candidate, champion = evidence.inspection, evidence.champion_inspection
    return Page(
        verdict=verdict,
        run=run,
        changes=_change_lines(plan, run.model),
        policy_change=applied.change,
        policy_note=applied.note + _foresee(evidence, model.policy, applied),
        points=read_points(evidence),
        importance=make_importance(candidate, champion),
        serving=make_serving(candidate, champion, verdict.findings),
        shift=make_shift(evidence.champion_profile, evidence.profile),
        waiver=waiver,
        documents=tuple(f"{workspace.request.documents}/{run.model}/{name}" for name in DOCUMENTS),
        commands=tuple(commands),
    )


def _foresee(evidence: Evidence, proposed: Policy, applied: AppliedPolicy) -> str:
    """Say what the policy that the merge request brings along would decide."""
    if not applied.change:
        return ""
    return f" Under the proposed policy the verdict would be {judge(evidence, proposed).outcome}."


def _change_lines(plan: Plan | None, model: str) -> tuple[ChangeLine, ...]:
    changes = plan.changes if plan else ()
    return tuple(
        ChangeLine(path=change.path, kind=str(change.kind), status=str(change.status))
        for change in changes
        if model in change.models or change.kind is Kind.CONTROL or change.path == CONFIG_PATH
    )
