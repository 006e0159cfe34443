"""What a leak is called, to the letter, and how strongly a column tells the answer, in figures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from gitops.config import Task
from gitops.gate.evidence import join_rows
from gitops.gate.imputation import Spike, check_imputation, find_spikes, log_chance
from gitops.gate.leak import check_leak, measure_purity, measure_strength
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Severity
from gitops.run import Problem, ProblemKind, Scores
from tests.gate_evidence import (
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_policy,
    make_scores,
    noisy,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.evidence import Evidence

ACTUAL, GOOD = noisy(40, noise=3)
LABELS = np.array(ACTUAL)
PASS, FAIL = Outcome.PASS, Outcome.FAIL
DOUBT, NONE = Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE


def check(evidence: Evidence) -> tuple[Finding, ...]:
    rows = join_rows(evidence.current, evidence.task, evidence.positive)
    return check_leak(evidence, rows, make_policy())


def check_inputs(
    inputs: Mapping[str, Sequence[object]], candidate: list[float] | Scores = GOOD
) -> tuple[Finding, ...]:
    return check(make_evidence(ACTUAL, candidate, inputs=inputs))


def said(outcome: Outcome, reason: str, rule: str = "leak.target") -> Finding:
    return Finding(rule=rule, outcome=outcome, reason=reason, rows=40)


def broken(kind: ProblemKind, *columns: str) -> Scores:
    return make_scores([], problem=Problem(kind=kind, message="no", columns=columns))


@pytest.mark.parametrize(
    ("scores", "inputs", "finding"),
    [
        (
            make_scores(GOOD),
            {},
            said(PASS, "every prediction comes from a raw row without the target `mpg`"),
        ),
        (
            make_scores(GOOD),
            {"mpg": ACTUAL},
            said(FAIL, "the rows to predict carry the target column `mpg` themselves"),
        ),
        (
            broken(ProblemKind.NEEDS_TARGET, "mpg"),
            {},
            said(
                FAIL,
                "the model needs the target column `mpg` as an input: it was trained on the answer, "
                "which no request will ever contain",
            ),
        ),
        (
            broken(ProblemKind.NEEDS_UNKNOWN_COLUMN, "a", "b"),
            {},
            said(
                FAIL,
                "the model needs `a`, `b`, computed before training, which raw requests do not "
                "have; compute it inside the model",
                "leak.column",
            ),
        ),
        (
            broken(ProblemKind.NEEDS_UNKNOWN_COLUMN),
            {},
            said(
                FAIL,
                "the model needs a column, computed before training, which raw requests do not "
                "have; compute it inside the model",
                "leak.column",
            ),
        ),
        (broken(ProblemKind.CRASHED), {}, said(NONE, "there are no predictions to look at")),
    ],
)
def test_a_model_that_knows_the_answer_is_told_by_how_it_does(
    scores: Scores, inputs: dict[str, list[float]], finding: Finding
) -> None:
    assert check_inputs(inputs, scores)[0] == finding


def feature(outcome: Outcome, reason: str) -> Finding:
    return replace(said(outcome, reason, "leak.feature"), severity=Severity.WARN)


def test_columns_that_tell_the_answer_are_told_with_the_weakest_of_them() -> None:
    near = [value if i else value + 9 for i, value in enumerate(ACTUAL)]
    strength = measure_strength(near, LABELS)
    assert 0.9 < strength < 0.99
    inputs = {"a": ACTUAL, "near": near, "b": [-value for value in ACTUAL], "mpg": ACTUAL}
    assert check_inputs(inputs)[1] == feature(
        DOUBT,
        "`a`, `b` alone predicts `mpg` (strength 1 of 1 or more): is it known before the answer "
        "is, or is it the answer in other words?",
    )
    honest = "none of 2 raw columns predicts the target almost alone"
    assert check_inputs({"near": near, "c": [1] * 40, "mpg": ACTUAL})[1] == feature(PASS, honest)


def test_twenty_rows_are_looked_at_and_fewer_or_unusable_ones_are_not() -> None:
    for rows, findings in ((20, 2), (19, 1)):
        few = make_evidence(ACTUAL[:rows], GOOD[:rows], inputs={"a": ACTUAL[:rows]})
        assert len(check(few)) == findings
    assert len(check_inputs({})) == 1
    unknown = make_evidence([None, *ACTUAL[1:]], GOOD, inputs={"a": ACTUAL})
    assert len(check(unknown)) == 1


def test_columns_are_read_in_their_own_order_of_rows() -> None:
    evidence = make_evidence(ACTUAL, GOOD, inputs={"a": ACTUAL})
    turned = replace(
        evidence,
        current=replace(
            evidence.current, ids=evidence.current.ids[::-1], actual=tuple(ACTUAL[::-1])
        ),
        inputs={"a": ACTUAL[::-1]},
    )
    assert check(turned)[1].outcome is DOUBT


def test_a_classification_is_looked_at_by_class() -> None:
    classes = ["no", "yes"] * 20
    scores = make_classifier(np.tile([0.2, 0.8], 20))
    evidence = make_class_evidence(classes, scores, task=Task.BINARY, inputs={"a": classes})
    assert check(evidence)[1].reason.startswith("`a` alone predicts `mpg` (strength 1 of 1 or more")


def test_numbers_are_compared_by_spearmans_rank_correlation() -> None:
    random = np.random.default_rng(1)
    values = random.integers(0, 6, 40).astype(float)
    labels = np.round(values + random.normal(0, 2, 40))
    expected = abs(float(stats.spearmanr(values, labels).statistic))
    assert measure_strength(values.tolist(), labels) == pytest.approx(expected)
    assert measure_strength((-values).tolist(), labels) == pytest.approx(expected)
    assert measure_strength([3] * 40, labels) == 0.0
    assert measure_strength(values.tolist(), np.ones(40)) == 0.0


def test_words_are_compared_by_what_their_groups_explain() -> None:
    """The explained share of the variance, corrected for the number of groups, and its root."""
    random = np.random.default_rng(1)
    group = np.arange(40) % 4
    labels = group + random.normal(size=40)
    means = np.array([labels[group == g].mean() for g in range(4)])
    within, total = ((labels - means[group]) ** 2).sum(), ((labels - labels.mean()) ** 2).sum()
    expected = math.sqrt(1 - within / total * 39 / 36)
    words = [f"w{g}" for g in group]
    assert measure_strength(words, labels) == pytest.approx(expected)
    assert measure_strength(words, np.ones(40)) == 0.0
    unrelated = np.repeat(np.arange(10.0), 4)
    assert measure_strength(words, unrelated) == 0.0


@pytest.mark.parametrize(("groups", "told"), [(20, True), (21, False)])
def test_words_need_twenty_rows_more_than_they_have_values(groups: int, told: bool) -> None:
    words = [f"w{i % groups}" for i in range(40)]
    labels = np.array([i % groups for i in range(40)], dtype=float)
    assert (measure_strength(words, labels) > 0.9) is told


@pytest.mark.parametrize(
    ("missing", "rows", "told"), [(20, 40, True), (21, 40, False), (0, 20, True), (0, 19, False)]
)
def test_half_of_the_rows_and_twenty_must_be_there(missing: int, rows: int, told: bool) -> None:
    column: list[object] = [float("nan") if i % 2 else None for i in range(missing)]
    column += list(range(missing, rows))
    assert (measure_strength(column, np.arange(float(rows))) > 0.9) is told
    classes = np.arange(rows) >= (missing + rows) / 2
    assert (measure_purity(column, classes.astype(float)) > 0.9) is told


def test_two_classes_are_told_by_twice_the_distance_of_the_area_from_one_half() -> None:
    random = np.random.default_rng(3)
    classes = (np.arange(60) % 3 == 0).astype(float)
    values = np.round(random.normal(size=60) + 2 * classes, 1)
    wins = stats.mannwhitneyu(values[classes == 1], values[classes == 0]).statistic
    area = float(wins) / (20 * 40)
    assert measure_purity(values.tolist(), classes) == pytest.approx(2 * area - 1)
    assert measure_purity((-values).tolist(), classes) == pytest.approx(2 * area - 1)


def test_other_columns_are_judged_by_guessing_each_row_from_the_others_of_its_group() -> None:
    """Three of four are right in group a, all in b; the most frequent class is right for half."""
    column = ["a"] * 20 + ["b"] * 20
    places = np.array([0] * 15 + [1] * 5 + [2] * 5 + [2] * 15, dtype=float)
    right, usual = 35 / 40, 20 / 40
    assert measure_purity(column, places) == pytest.approx((right - usual) / (1 - usual))
    assert measure_purity(["a", "b"] * 20, np.repeat([0.0, 1.0, 2.0, 3.0], 10)) == 0.0
    alone = [f"row {i}" for i in range(40)]
    assert measure_purity(alone, places) == 0.0
    pairs = [f"pair {i // 2}" for i in range(40)]
    assert measure_purity(pairs, np.arange(40) // 2 % 4) == 1.0


def test_a_row_is_right_when_its_class_is_as_frequent_among_the_others_as_any() -> None:
    """In a group of two and two each row has one of its own class against two others."""
    column = [f"g{i // 4}" for i in range(40)]
    mixed = np.array([0, 0, 1, 1] * 10, dtype=float)
    assert measure_purity(column, mixed) == 0.0
    threes = [f"g{i // 3}" for i in range(42)]
    tied = np.array([0, 0, 1, 1, 1, 0] * 7, dtype=float)
    assert measure_purity(threes, tied) == pytest.approx((2 / 3 - 1 / 2) / (1 - 1 / 2))


MEASURED = np.random.default_rng(2).normal(7, 1.5, 200).tolist()


def fill(low: float = 6.5, high: float = 7.5) -> tuple[list[object], list[float]]:
    """Return a measured column with a fifth of its cells filled by class, and the classes."""
    labels = [float(i % 2) for i in range(200)]
    column = [
        (high if label else low) if i % 5 == 0 else value
        for i, (value, label) in enumerate(zip(MEASURED, labels, strict=True))
    ]
    return column, labels


def test_a_fill_is_told_with_two_of_its_numbers_and_all_of_its_columns() -> None:
    column, labels = fill()
    inputs = {"a": MEASURED, "ph": column, "so2": column, "mpg": column}
    evidence = make_evidence(labels, [0.5] * 200, inputs=inputs)
    (finding,) = check_imputation(evidence, join_rows(evidence.current), make_policy())
    assert finding == Finding(
        rule="leak.imputed",
        outcome=FAIL,
        reason=(
            "missing values of `ph`, `so2` were filled by `mpg`, the answer itself (`ph`: 20 of the "
            "20 rows with exactly 6.5 are 0.0; 20 of the 20 rows with exactly 7.5 are 1.0): leave "
            "them missing, or fill them inside the model without the target"
        ),
        rows=200,
    )
    honest = replace(evidence, inputs={"a": MEASURED, "mpg": column})
    (finding,) = check_imputation(honest, join_rows(honest.current), make_policy())
    reason = "no gap in 1 raw columns was filled with the class of its row"
    assert finding == Finding(rule="leak.imputed", outcome=PASS, reason=reason, rows=200)


def spikes(column: Sequence[object], labels: Sequence[float]) -> tuple[Spike, ...]:
    names, classes = np.unique(list(map(str, labels)), return_inverse=True)
    return find_spikes(column, names.tolist(), classes)


def test_the_smallest_and_the_largest_number_are_no_fill() -> None:
    column, labels = fill()
    assert len(spikes(column, labels)) == 2
    assert spikes(*fill(low=-99.0)) == ()
    assert spikes(*fill(high=99.0)) == ()
    assert spikes([None] * 200, labels) == ()
    assert len(spikes([*column, None, "n/a"], [*labels, 0.0, 1.0])) == 2


@pytest.mark.parametrize(
    ("agreeing", "usual", "telling"),
    [(19, 0.9, True), (18, 0.5, False), (20, 0.91, False), (20, 0.9, True)],
)
def test_a_number_tells_when_nearly_all_of_its_rows_agree_and_its_neighbours_do_not(
    agreeing: int, usual: float, telling: bool
) -> None:
    spike = Spike(value=1.0, rows=20, label="a", agreeing=agreeing, usual=usual)
    assert spike.is_telling is telling


def test_the_chance_of_agreement_is_chernoffs_bound() -> None:
    sure = Spike(value=1.0, rows=20, label="a", agreeing=20, usual=0.5)
    nearly = replace(sure, agreeing=19)
    divergence = 0.95 * math.log(0.95 / 0.5) + 0.05 * math.log(0.05 / 0.5)
    assert log_chance([]) == 0
    assert log_chance([sure]) == pytest.approx(20 * math.log(0.5))
    assert log_chance([nearly]) == pytest.approx(-20 * divergence)
    assert log_chance([sure, nearly]) == pytest.approx(20 * math.log(0.5) - 20 * divergence)
    assert log_chance([replace(sure, agreeing=10)]) == 0
    assert log_chance([replace(sure, agreeing=5)]) == 0
