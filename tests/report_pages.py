"""Pages as a merge request would bring them, for the tests of the report."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from gitops.gate.profile import ColumnProfile, DataProfile
from gitops.gate.verdict import Attribution, AttributionLine, Finding, Outcome, Verdict
from gitops.policy import Severity
from gitops.report.columns import make_shift
from gitops.report.models import make_importance, make_serving
from gitops.report.page import DOCUMENTS, ChangeLine, Page
from gitops.report.points import ClassPoints, Points, make_points
from gitops.run import Champion, HoldoutRows, Inspection, Run, Step

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
SLICES = (
    replace(
        WORSE, rule="slice.origin=1.rmse", rows=74, low=0.4, high=1.5, reason="origin 1 is worse"
    ),
    replace(
        WORSE,
        rule="slice.origin=2.rmse",
        rows=31,
        outcome=Outcome.INCONCLUSIVE,
        low=-0.5,
        high=1.1,
        difference=0.3,
        reason="31 rows cannot tell",
    ),
    replace(
        WORSE,
        rule="slice.origin=3.rmse",
        rows=14,
        outcome=Outcome.NOT_APPLICABLE,
        low=-1.4,
        high=0.9,
        difference=-0.2,
        reason="14 rows are too few",
    ),
)
DATA = (
    Finding(rule="data.schema", outcome=Outcome.PASS, reason="the same 9 columns as before"),
    Finding(
        rule="drift.wght",
        outcome=Outcome.INCONCLUSIVE,
        severity=Severity.WARN,
        reason="wght moved: distance 0.21 over 397 and 391 rows",
    ),
)
SERVING = (
    Finding(
        rule="serving.max_p99_ms",
        outcome=Outcome.PASS,
        reason="p99 is 0.9 ms",
        candidate=0.9,
        bound=20.0,
    ),
)
SELFTEST = (
    Finding(rule="selftest", outcome=Outcome.PASS, reason="6 models known to be bad are refused"),
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
        champion=Champion(
            version="fuel@v1.1.0", commit="9d8e1f0", source="9d8e1f0", bundle=DIGEST, holdout=DIGEST
        ),
        champion_reason="",
        steps=(Step(name="train", action="ran", reason="params.yaml changed", seconds=3.4),),
    )


def make_sample_points(rows: int = 40) -> Points:
    actual = [10 + row % 30 + 0.5 for row in range(rows)]
    candidate = [value + math.sin(row) for row, value in enumerate(actual)]
    points = make_points(actual, candidate, [value + 1.5 for value in actual])
    assert points is not None
    return points


def make_sample_classes(rows: int = 200, names: tuple[str, ...] = ("0", "1")) -> ClassPoints:
    """Rows of a classification whose candidate is a little better than its champion."""
    chance = random.Random(7)
    actual = tuple(chance.randrange(len(names)) for _ in range(rows))
    candidate, champion = (
        tuple(_make_chances(chance, true, len(names), skill) for true in actual)
        for skill in (1.1, 0.8)
    )
    positive = names[-1] if len(names) == 2 else ""
    return ClassPoints(
        classes=names, positive=positive, actual=actual, candidate=candidate, champion=champion
    )


def _make_chances(chance: random.Random, true: int, count: int, skill: float) -> tuple[float, ...]:
    weights = [math.exp(chance.gauss(0, 1) + skill * (k == true)) for k in range(count)]
    return tuple(weight / sum(weights) for weight in weights)


def make_inspection(*importance: tuple[str, float]) -> Inspection:
    return Inspection(
        bundle=DIGEST,
        split=DIGEST,
        size_bytes=412_000,
        load_seconds=0.31,
        p50_ms=0.42,
        p99_ms=0.9,
        inputs=tuple((name, "double", True) for name, _ in importance),
        importance=importance,
    )


def make_profile(data: str, shift: float, name: str = "wght") -> DataProfile:
    """Two columns, one of numbers and one of text, which move with `shift`."""
    chance = random.Random(3)
    sample = tuple(sorted(chance.gauss(2900 + 400 * shift, 700) for _ in range(300)))
    many = int(180 - 60 * shift)
    column = ColumnProfile(
        name=name,
        kind="number",
        missing=int(20 * shift),
        low=sample[0],
        high=sample[-1],
        distinct=300,
        values=(),
        sample=sample,
    )
    text = ColumnProfile(
        name=f"{name} origin",
        kind="text",
        missing=0,
        low=None,
        high=None,
        distinct=3,
        values=((name, many), ("2", 300 - many)),
        sample=(),
    )
    same = replace(text, name=f"{name} maker", values=(("ford", 300),))
    return DataProfile(
        data=data,
        rows=300 + int(20 * shift),
        columns=(column, text, same),
        duplicates=0,
        straddling=0,
        unlabelled=0,
        labels=(),
    )


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
    findings = (NO_LEAK, BELOW, WORSE, INFORMS, *SLICES, *DATA, *SERVING, *SELFTEST)
    verdict = make_verdict(*findings, reason=WORSE.reason)
    new = make_inspection(("wght", 3.1), ("year", 1.9), ("hp", 0.7))
    old = make_inspection(("wght", 2.2), ("year", 2.0), ("disp", 0.4))
    return Page(
        verdict=replace(verdict, attribution=make_attribution("rmse", "The new rows are harder.")),
        run=make_run(),
        changes=(ChangeLine(path="pipelines/fuel/params.yaml", kind="params", status="modified"),),
        policy_change="@@ -1 +1 @@\n-rmse: {max: 4.5}\n+rmse: {max: 9}\n",
        policy_note="Judged under the rules of main.",
        points=make_sample_points(),
        importance=make_importance(new, old),
        serving=make_serving(new, old, findings),
        shift=make_shift(make_profile("d", 0.0), make_profile("e", 1.0)),
        documents=tuple(f".gitops/fuel/{name}" for name in DOCUMENTS),
        commands=("gitops check",),
    )


def make_hostile_page(text: str) -> Page:
    """A page on which every piece of data is the same text."""
    page = make_sample_page()
    assert page.run.champion is not None
    inspection = make_inspection((text, 2.0), (f"{text}2", 1.0))
    names = (text, f"{text}2", f"{text}3")
    return replace(
        page,
        verdict=replace(
            make_verdict(*_make_hostile_findings(text)),
            model=text,
            reason=text,
            attribution=make_attribution(text, text),
        ),
        run=replace(
            page.run,
            commit=text,
            base=text,
            fingerprint=text,
            champion=replace(page.run.champion, version=text),
            steps=(Step(name=text, action=text, reason=text, seconds=1.0),),
        ),
        changes=(ChangeLine(path=text, kind=text, status=text),),
        policy_change=text,
        policy_note=text,
        points=make_sample_classes(rows=12, names=names),
        importance=make_importance(inspection, inspection),
        shift=make_shift(make_profile("d", 0.0, text), make_profile("e", 1.0, f"{text}")),
        waiver=text,
        documents=(text, f"{text}/verdict.json"),
        commands=(text,),
    )


def _make_hostile_findings(text: str) -> tuple[Finding, ...]:
    """Findings of every group whose names and reasons are the same text."""
    own = tuple(replace(one, rule=text, metric=text) for one in (WORSE, NO_LEAK))
    slices = tuple(replace(one, rule=f"slice.{text}={text}.{text}", metric=text) for one in SLICES)
    data = tuple(replace(one, rule=f"drift.{text}") for one in DATA)
    others = tuple(
        replace(one, rule=f"{kind}.{text}")
        for one in (NO_LEAK, WORSE)
        for kind in ("serving", "selftest", "data")
    )
    gone = replace(NO_LEAK, rule=f"slice.{text}", outcome=Outcome.FAIL)
    return tuple(replace(one, reason=text) for one in (*own, *slices, *data, *others, gone))
