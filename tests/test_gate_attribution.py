"""When the data changed: what did the data do, and what did the model do?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.evidence import Comparison, Evidence
from gitops.gate.judge import judge
from tests.gate_evidence import (
    CHAMPION,
    make_evidence,
    make_ids,
    make_policy,
    make_rule,
    make_scores,
)

if TYPE_CHECKING:
    from gitops.gate.verdict import Attribution

POLICY = make_policy(make_rule("rmse", maximum=50), make_rule("r2", max_regression=0.5))
OLD, NEW = 120, 200


def make_changed(*, new_rows_noise: float, candidate_noise: float) -> Evidence:
    """Return evidence where rows 120 to 199 came with the new data."""
    random = np.random.default_rng(5)
    actual = random.normal(23, 7, NEW)
    shared = random.standard_normal(NEW) * np.where(np.arange(NEW) < OLD, 2.0, new_rows_noise)
    champion = (actual + shared).tolist()
    own = candidate_noise * random.standard_normal(NEW)
    candidate = (actual + shared + own).tolist()
    current = make_evidence(actual.tolist(), candidate, champion)
    earlier = Comparison(
        ids=make_ids(OLD),
        actual=tuple(actual[:OLD].tolist()),
        candidate=make_scores(candidate[:OLD]),
        champion=make_scores(champion[:OLD], CHAMPION),
    )
    return replace(current, earlier=earlier)


def attribute(evidence: Evidence) -> Attribution:
    attribution = judge(evidence, POLICY).attribution
    assert attribution is not None
    return attribution


def test_unchanged_data_needs_no_attribution() -> None:
    evidence = replace(make_changed(new_rows_noise=2, candidate_noise=1), earlier=None)
    assert judge(evidence, POLICY).attribution is None


def test_harder_data_is_told_from_a_worse_model() -> None:
    sentence = attribute(make_changed(new_rows_noise=5, candidate_noise=0.1)).sentence
    assert "earlier 120 rows" in sentence
    assert "current 200 rows" in sentence
    assert "the data got harder" in sentence
    assert "the model got worse" not in sentence.replace("tell whether the model got worse", "")


def test_a_worse_model_is_told_from_harder_data() -> None:
    sentence = attribute(make_changed(new_rows_noise=2, candidate_noise=3)).sentence
    assert sentence.endswith(": the model got worse.")
    assert "the rows cannot tell whether the data got harder" in sentence


def test_a_line_has_both_models_on_both_sets_of_rows() -> None:
    attribution = attribute(make_changed(new_rows_noise=5, candidate_noise=3))
    assert [line.metric for line in attribution.lines] == ["rmse", "r2"]
    rmse = attribution.lines[0]
    assert rmse.champion_earlier is not None
    assert rmse.candidate_earlier is not None
    assert rmse.champion_current is not None
    assert rmse.candidate_current is not None
    assert rmse.champion_earlier < rmse.champion_current < rmse.candidate_current
    assert rmse.champion_earlier < rmse.candidate_earlier


def test_rows_that_stayed_cancel_out_of_the_change_of_data() -> None:
    """Taken as two samples, the same rows would seem to differ by chance."""
    evidence = make_changed(new_rows_noise=2, candidate_noise=0.1)
    same = replace(evidence, earlier=replace(evidence.current))
    assert "): no difference. The candidate's is" in attribute(same).sentence


def test_a_missing_score_is_said_and_not_guessed() -> None:
    evidence = make_changed(new_rows_noise=5, candidate_noise=1)
    assert evidence.earlier is not None
    broken = replace(evidence.earlier, actual=(None, *evidence.earlier.actual[1:]))
    attribution = attribute(replace(evidence, earlier=broken))
    assert attribution.lines[0].champion_earlier is None
    assert "cannot be told: a score is missing" in attribution.sentence
