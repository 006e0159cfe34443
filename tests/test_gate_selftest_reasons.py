"""The known-bad candidates themselves: what they predict, what they are called, what cures them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.config import Task
from gitops.gate.evidence import Rows, join_rows
from gitops.gate.metrics import METRICS, measure
from gitops.gate.mutants import DRAWS, Mutant, make_mutants
from gitops.gate.selftest import check_selftest
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Direction, Policy, Severity, SliceRule, Tolerance
from tests.gate_evidence import (
    CHAMPION,
    make_class_evidence,
    make_classifier,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

if TYPE_CHECKING:
    from gitops.gate.evidence import Evidence

ACTUAL, GOOD = noisy(60, noise=3)
_, OLD = noisy(60, noise=3, seed=2)
BOTH, ALONE = make_evidence(ACTUAL, GOOD, OLD), make_evidence(ACTUAL, GOOD)
POLICY = make_policy(make_rule("rmse", maximum=4.5, max_regression="2%"))
CLASSES = ["no", "no", "yes"] * 20
CHANCES = np.tile([0.2, 0.3, 0.8], 20)
BINARY = make_class_evidence(CLASSES, make_classifier(CHANCES))
NONE = make_policy(make_rule("accuracy", minimum=0))


def join(evidence: Evidence) -> Rows:
    return join_rows(evidence.current, evidence.task, evidence.positive)


def mutants(evidence: Evidence, policy: Policy = POLICY) -> list[Mutant]:
    return list(make_mutants(evidence, join(evidence), policy))


def values(mutant: Mutant) -> Any:
    return mutant.draws[0].candidate.values


def test_the_known_bad_candidates_come_in_a_fixed_order_with_their_words() -> None:
    constants = [
        ("constant", "the mean of the labels for every row", 1),
        ("constant", "the median of the labels for every row", 1),
    ]
    spoilt = [
        ("dropped", "predictions that leave out a row", 1),
        ("nan", "predictions with one NaN", 1),
    ]
    shuffled = ("shuffled", "predictions shuffled between rows", DRAWS)
    named = [(mutant.name, mutant.words, len(mutant.draws)) for mutant in mutants(BOTH)]
    assert named == [
        shuffled,
        *constants,
        ("noise", "the champion with noise that costs twice what rmse tolerates", 1),
        (
            "labels",
            "the champion compared with itself, with labels that belong to other rows,",
            DRAWS,
        ),
        *spoilt,
    ]
    first = [(mutant.name, mutant.words, len(mutant.draws)) for mutant in mutants(ALONE)]
    assert first == [shuffled, *constants, *spoilt]
    assert DRAWS == 3


def test_the_same_rows_are_disturbed_alike_and_each_draw_is_another() -> None:
    one, again = mutants(BOTH), mutants(BOTH)
    for mutant, other in zip(one[:5], again, strict=False):
        assert np.array_equal(values(mutant), values(other))
    shuffles = {tuple(draw.candidate.values) for draw in one[0].draws}
    assert len(shuffles) == DRAWS
    assert {tuple(sorted(shuffle)) for shuffle in shuffles} == {tuple(sorted(OLD))}
    labels = one[4].draws
    assert len({tuple(draw.actual) for draw in labels}) == DRAWS
    for draw in labels:
        assert sorted(draw.actual) == sorted(ACTUAL)
        assert draw.candidate.values.tolist() == OLD


def test_without_a_champion_the_candidates_own_predictions_are_shuffled() -> None:
    broken = make_evidence(ACTUAL, GOOD, make_scores([None] * 60, CHAMPION))
    for evidence in (ALONE, broken):
        assert sorted(values(mutants(evidence)[0])) == sorted(GOOD)
    nothing = mutants(make_evidence(ACTUAL, [None] * 60))
    assert [mutant.name for mutant in nothing] == ["constant", "constant", "dropped", "nan"]
    own = mutants(make_evidence(ACTUAL, [None] * 60, OLD))
    assert sorted(values(own[0])) == sorted(OLD)


def test_constants_are_the_mean_and_the_median_of_the_labels() -> None:
    mean, median = mutants(ALONE)[1:3]
    assert values(mean).tolist() == [float(np.mean(ACTUAL))] * 60
    assert values(median).tolist() == [float(np.median(ACTUAL))] * 60


def test_constants_of_two_classes_are_their_shares_and_each_of_them() -> None:
    shares, no, yes = mutants(BINARY, NONE)[1:4]
    assert shares.words == "the share of each class for every row"
    assert values(shares) == pytest.approx(np.tile([2 / 3, 1 / 3], (60, 1)))
    assert [no.words, yes.words] == [f"class `{name}` for every row" for name in ("no", "yes")]
    assert values(no).tolist() == [[1.0, 0.0]] * 60
    assert values(yes).tolist() == [[0.0, 1.0]] * 60
    several = mutants(replace(BINARY, task=Task.MULTICLASS), NONE)
    assert [mutant.name for mutant in several].count("constant") == 1
    long = make_class_evidence(["x" * 50, "y"] * 30, make_classifier(CHANCES, ("x" * 50, "y")))
    assert mutants(long, NONE)[2].words == f"class `{'x' * 40}` for every row"


def test_a_dropped_row_and_a_nan_are_refused_at_the_door() -> None:
    dropped, nan = (mutant.draws[0].candidate for mutant in mutants(ALONE)[-2:])
    assert dropped.fault == 'row "row-0000" without a prediction'
    assert nan.fault == 'row "row-0000" whose prediction is not a finite number (nan)'
    dropped, nan = (mutant.draws[0].candidate for mutant in mutants(BINARY, NONE)[-2:])
    assert dropped.fault == 'row "row-0000" without a prediction'
    assert nan.fault.startswith('row "row-0000" whose prediction is not 2 probabilities')
    positive = replace(BINARY, positive="no")
    assert mutants(positive, NONE)[-1].draws[0].candidate.fault == nan.fault


@pytest.mark.parametrize(
    ("metric", "tolerance", "cost"),
    [("rmse", "5%", 0.1), ("mae", "0.2%", 0.01), ("r2", "5%", 0.1), ("rmse", "0%", 0.01)],
)
def test_noise_costs_twice_the_tolerance_and_at_least_a_hundredth(
    metric: str, tolerance: str, cost: float
) -> None:
    noise = next(
        mutant
        for mutant in mutants(BOTH, make_policy(make_rule(metric, max_regression=tolerance)))
        if mutant.name == "noise"
    )
    own = measure(METRICS[metric], np.array(ACTUAL), np.array(OLD))
    worse = measure(METRICS[metric], np.array(ACTUAL), values(noise))
    assert METRICS[metric].badness * (worse - own) == pytest.approx(cost * own, rel=0.01)


def test_noise_of_an_absolute_tolerance_is_in_units_of_the_metric() -> None:
    warned = make_rule("mae", max_regression=9.0, severity=Severity.WARN)
    policy = make_policy(warned, make_rule("r2", minimum=0), make_rule("rmse", max_regression=0.5))
    noise = next(mutant for mutant in mutants(BOTH, policy) if mutant.name == "noise")
    own, worse = (
        measure(METRICS["rmse"], np.array(ACTUAL), np.array(given))
        for given in (OLD, values(noise))
    )
    assert worse - own == pytest.approx(1.0, rel=0.01)
    assert noise.words.endswith("twice what rmse tolerates")


def test_the_noise_of_a_classifier_leaves_probabilities() -> None:
    champion = make_classifier(CHANCES, bundle=CHAMPION)
    evidence = make_class_evidence(CLASSES, make_classifier(CHANCES), champion)
    policy = make_policy(make_rule("log_loss", max_regression=0.1))
    noise = next(mutant for mutant in mutants(evidence, policy) if mutant.name == "noise")
    chances = values(noise)
    assert chances.sum(axis=1) == pytest.approx(np.ones(60))
    assert chances.min() > 0
    places = np.array([0, 0, 1] * 20)
    own = -np.log(np.where(places == 1, CHANCES, 1 - CHANCES)).mean()
    worse = -np.log(chances[np.arange(60), places]).mean()
    assert worse - own == pytest.approx(0.2, rel=0.02)


def run(evidence: Evidence, policy: Policy) -> dict[str, Finding]:
    found = check_selftest(evidence, join(evidence), policy)
    return {finding.rule: finding for finding in found}


def said(outcome: Outcome, reason: str, rule: str = "selftest") -> dict[str, Finding]:
    return {rule: Finding(rule=rule, outcome=outcome, reason=reason)}


def test_a_policy_that_refuses_them_all_says_how_many_and_which() -> None:
    assert run(BOTH, POLICY) == said(
        Outcome.PASS,
        "the policy refuses 7 candidates that are known to be bad: shuffled, constant, noise, "
        "labels, dropped, nan",
    )
    for rows in (1, 40):
        same = make_evidence([3.0] * rows, GOOD[:rows])
        reason = "the policy was not put to the test: no two usable labels differ"
        assert run(same, POLICY) == said(Outcome.NOT_APPLICABLE, reason)
    assert run(make_evidence([1.0, 20.0], [1.0, 20.0]), POLICY)["selftest"].outcome is Outcome.PASS


def test_a_vacuous_policy_is_accused_once_for_each_way_to_be_bad() -> None:
    found = run(BOTH, make_policy(make_rule("rmse", maximum=40)))
    assert list(found) == [f"selftest.{name}" for name in ("shuffled", "constant", "labels")]
    constant = found["selftest.constant"]
    assert constant.outcome is Outcome.FAIL
    assert constant.reason.startswith(
        "vacuous policy: the mean of the labels for every row would pass (rmse is "
    )
    assert constant.reason.endswith(", or add another metric")
    rmse = float(np.std(ACTUAL))
    assert f"; set `rmse.max` below {rmse:.3g}, or" in constant.reason
    higher = run(ALONE, make_policy(make_rule("r2", minimum=-9)))["selftest.constant"]
    assert "; set `r2.min` above 0, or add another metric" in higher.reason


def test_the_cure_for_a_comparison_is_a_bound_on_its_good_side() -> None:
    for metric, bound in (("rmse", "max"), ("r2", "min")):
        found = run(BOTH, make_policy(make_rule(metric, max_regression=50.0)))
        reason = found["selftest.labels"].reason
        assert reason.startswith(
            "vacuous policy: the champion compared with itself, with labels that belong to other "
            f"rows, would pass ({metric} "
        )
        assert reason.endswith(f"is tolerated); add `{bound}` to {metric}")


def test_the_cure_for_a_custom_comparison_follows_its_direction() -> None:
    rule = make_rule("own", max_regression=50.0)
    custom = {"own": lambda actual, predicted: float(np.abs(actual - predicted).mean())}
    for direction, bound in ((Direction.HIGHER, "min"), (Direction.LOWER, "max")):
        policy = make_policy(replace(rule, function="f.py:f", direction=direction))
        found = run(replace(BOTH, custom=custom), policy)
        assert found["selftest.labels"].reason.endswith(f"; add `{bound}` to own")


def test_an_absolute_bound_is_quoted_before_a_comparison() -> None:
    both = make_rule("rmse", maximum=40, max_regression=50.0)
    reason = run(BOTH, make_policy(both))["selftest.shuffled"].reason
    assert "would pass (rmse is " in reason
    assert "set `rmse.max` below" in reason


def test_many_rows_keep_their_groups_and_slices_in_the_sample() -> None:
    """The sample must take labels, predictions, groups and slices of the same rows."""
    actual, good = noisy(2500, noise=3)
    _, old = noisy(2500, noise=3, seed=2)
    side = ["high" if value > 23 else "low" for value in actual]
    inputs: dict[str, list[Any]] = {"side": side, "who": [i // 2 for i in range(2500)]}
    evidence = make_evidence(actual, good, old, inputs)
    policy = replace(
        make_policy(make_rule("rmse", maximum=40)),
        slices=SliceRule(by=("side",), max_regression=Tolerance(amount=0.02, relative=True)),
        group="who",
    )
    found = run(evidence, policy)
    assert list(found) == ["selftest.labels"]
    assert "selftest.constant" in run(evidence, replace(policy, slices=None))


def test_a_sample_spreads_over_the_labels_and_starts_beyond_a_thousand_rows() -> None:
    seen: list[tuple[int, float, float]] = []

    def spy(labels: Any, predicted: Any) -> float:
        seen.append((len(labels), float(labels.min()), float(labels.max())))
        return float(np.abs(labels - predicted).mean())

    own = make_rule("own", maximum=1.0)
    policy = make_policy(replace(own, function="f.py:f", direction=Direction.LOWER))
    for rows in (1000, 1001):
        actual = [float(i) for i in range(rows)]
        evidence = replace(make_evidence(actual, actual), custom={"own": spy})
        assert run(evidence, policy)["selftest"].outcome is Outcome.PASS
        assert seen[0] == (1000, 0.0, rows - 1.0)
        seen.clear()


def test_a_sample_of_many_rows_does_without_predictions_that_are_missing() -> None:
    actual, old = noisy(1001, noise=3)
    for evidence in (
        make_evidence(actual, [None] * 1001, old),
        make_evidence(actual, old, make_scores([None] * 1001, CHAMPION)),
    ):
        assert (
            run(evidence, make_policy(make_rule(maximum=4.5)))["selftest"].outcome is Outcome.PASS
        )
