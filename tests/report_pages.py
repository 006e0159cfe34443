"""Pages as a merge request would bring them, for the tests of the report."""

from __future__ import annotations

import math
from dataclasses import replace

from gitops.gate.verdict import Attribution, AttributionLine, Finding, Outcome, Verdict
from gitops.policy import Severity
from gitops.report.page import ChangeLine, Page, Points, make_points
from gitops.run import Champion, HoldoutRows, Run, Step

DIGEST = "sha256:" + "3f9ac1d27b5e8046" * 4

WORSE = Finding(
    rule="rmse.max_regression",
    outcome=Outcome.FAIL,
    reason="rmse 4.11 is 1.18 worse than the champion's 2.93; at most 0.059 is tolerated",
    metric="rmse",
    rows=119,
    candidate=4.11,
    champion=2.93,
    difference=1.18,
    low=0.71,
    high=1.66,
    bound=0.0586,
    detectable=0.39,
)
BELOW = Finding(
    rule="rmse.max",
    outcome=Outcome.PASS,
    reason="rmse 4.11 is below 4.5",
    metric="rmse",
    rows=119,
    candidate=4.11,
    low=3.7,
    high=4.4,
    bound=4.5,
    detectable=0.8,
)
NO_LEAK = Finding(
    rule="leak.feature",
    outcome=Outcome.PASS,
    reason="no single column predicts mpg almost alone",
    rows=119,
)
INFORMS = replace(BELOW, rule="mae.max", metric="mae", severity=Severity.WARN)


def make_verdict(*findings: Finding, outcome: Outcome = Outcome.FAIL, reason: str = "") -> Verdict:
    return Verdict(
        model="fuel",
        outcome=outcome,
        reason=reason or findings[0].reason,
        findings=findings,
        fingerprint=DIGEST,
        candidate=DIGEST,
        champion=DIGEST,
        policy=DIGEST,
        rows=119,
        key=DIGEST,
    )


def make_run() -> Run:
    return Run(
        model="fuel",
        commit="9d8e1f0b7c6a5d4e3f2a1b0c9d8e7f6a5b4c3d2e",
        base="1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d",
        fingerprint=DIGEST,
        bundle=DIGEST,
        current=HoldoutRows(key=DIGEST, rows=119, train_rows=278, data="d"),
        earlier=HoldoutRows(key=DIGEST, rows=110, train_rows=260, data="e"),
        champion=Champion(version="fuel@v1.1.0", commit="9d8e1f0", bundle=DIGEST, holdout=DIGEST),
        champion_reason="",
        steps=(Step(name="train", action="ran", reason="params.yaml changed", seconds=3.4),),
    )


def make_sample_points(rows: int = 40) -> Points:
    actual = [10 + row % 30 + 0.5 for row in range(rows)]
    candidate = [value + math.sin(row) for row, value in enumerate(actual)]
    points = make_points(actual, candidate, [value + 1.5 for value in actual])
    assert points is not None
    return points


def make_attribution(metric: str, sentence: str) -> Attribution:
    line = AttributionLine(
        metric=metric,
        champion_earlier=2.93,
        candidate_earlier=4.05,
        champion_current=3.24,
        candidate_current=4.11,
    )
    return Attribution(lines=(line,), sentence=sentence)


def make_sample_page() -> Page:
    """A page on which every section has something to show."""
    verdict = make_verdict(NO_LEAK, BELOW, WORSE, INFORMS, reason=WORSE.reason)
    return Page(
        verdict=replace(verdict, attribution=make_attribution("rmse", "The new rows are harder.")),
        run=make_run(),
        changes=(ChangeLine(path="pipelines/fuel/params.yaml", kind="params", status="modified"),),
        policy_change="@@ -1 +1 @@\n-rmse: {max: 4.5}\n+rmse: {max: 9}\n",
        policy_note="Judged under the rules of main.",
        points=make_sample_points(),
        commands=("gitops check",),
    )


def make_hostile_page(text: str) -> Page:
    """A page on which every piece of data is the same text."""
    page = make_sample_page()
    findings = tuple(replace(one, rule=text, reason=text, metric=text) for one in (WORSE, NO_LEAK))
    assert page.run.champion is not None
    return replace(
        page,
        verdict=replace(
            make_verdict(*findings),
            model=text,
            reason=text,
            attribution=make_attribution(text, text),
        ),
        run=replace(
            page.run,
            commit=text,
            base=text,
            champion=replace(page.run.champion, version=text),
            steps=(Step(name=text, action=text, reason=text, seconds=1.0),),
        ),
        changes=(ChangeLine(path=text, kind=text, status=text),),
        policy_change=text,
        policy_note=text,
        commands=(text,),
    )
