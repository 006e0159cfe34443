"""What the data did and what the model did, told to the letter with every figure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops.gate.attribution import attribute
from gitops.gate.evidence import Comparison, Evidence, join_rows
from gitops.gate.metrics import METRICS, measure
from tests.gate_evidence import (
    CHAMPION,
    make_evidence,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)

if TYPE_CHECKING:
    from gitops.gate.verdict import Attribution

ACTUAL, _ = noisy(40, noise=2.9)
BOUND = make_rule("rmse", maximum=5)


def changed(
    earlier_actual: list[float], champion: list[float], candidate: list[float], **more: Any
) -> Evidence:
    """Return evidence whose first rows, as many as there are earlier labels, are the earlier ones."""
    rows = len(earlier_actual)
    evidence = make_evidence(ACTUAL, candidate, champion)
    earlier = Comparison(
        ids=evidence.current.ids[:rows],
        actual=tuple(earlier_actual),
        candidate=make_scores(candidate[:rows]),
        champion=make_scores(champion[:rows], CHAMPION),
    )
    return replace(evidence, earlier=earlier, **more)


def explain(evidence: Evidence, *metrics: str) -> Attribution:
    policy = make_policy(*(make_rule(name, minimum=0) for name in metrics or ("mae",)))
    found = attribute(evidence, join_rows(evidence.current), policy)
    assert found is not None
    return found


FAR, NEAR = [5.0 * (-1) ** i for i in range(40)], [0.5 * (-1) ** i for i in range(40)]
OFF = [value + far for value, far in zip(ACTUAL, FAR, strict=True)]
CLOSE = [value + near for value, near in zip(ACTUAL, NEAR, strict=True)]
WILD = [value + 2.0 * (i % 3 - 1) * (i % 5) for i, value in enumerate(ACTUAL)]


def test_easier_data_and_a_better_model_are_told_with_all_figures() -> None:
    hard = [value - 4.0 for value in WILD[:30]]
    sentence = explain(changed(hard, WILD, CLOSE)).sentence
    assert sentence == (
        "The champion's mae was 4 on the earlier 30 rows and is 2.65 on the current 40 rows (90 % "
        "interval 0.458 to 2.17): the data got easier. The candidate's is 0.5 there (90 % interval "
        "1.33 to 3.04): the model got better."
    )
    same = explain(changed(ACTUAL[:30], OFF, OFF)).sentence
    assert same == (
        "The champion's mae was 5 on the earlier 30 rows and is 5 on the current 40 rows (90 % "
        "interval 0 to 0): no difference. The candidate's is 5 there (90 % interval 0 to 0): no "
        "difference."
    )
    better = explain(changed(ACTUAL[:30], OFF, CLOSE)).sentence
    assert better.endswith("(90 % interval 4.5 to 4.5): the model got better.")
    worse = explain(changed(ACTUAL[:30], CLOSE, OFF)).sentence
    assert worse.endswith("(90 % interval 4.5 to 4.5): the model got worse.")
    r2 = explain(changed(ACTUAL[:30], CLOSE, OFF), "r2").sentence
    assert r2.endswith(": the model got worse.")


def test_lines_have_every_built_in_metric_of_the_policy_on_all_four_sides() -> None:
    evidence = changed([value + 1 for value in ACTUAL[:30]], OFF, CLOSE)
    own = replace(make_rule("own", minimum=0), function="f.py:f")
    policy = make_policy(own, make_rule("mae", maximum=1), make_rule("rmsle", maximum=1), BOUND)
    rows = join_rows(evidence.current)
    found = attribute(evidence, rows, policy)
    assert found is not None
    assert [line.metric for line in found.lines] == ["mae", "rmse"]
    assert evidence.earlier is not None
    earlier = join_rows(evidence.earlier)
    assert rows.champion is not None
    assert earlier.champion is not None
    sides = {
        "champion_earlier": (earlier.actual, earlier.champion.values),
        "candidate_earlier": (earlier.actual, earlier.candidate.values),
        "champion_current": (rows.actual, rows.champion.values),
        "candidate_current": (rows.actual, rows.candidate.values),
    }
    for line in found.lines:
        for side, pair in sides.items():
            assert getattr(line, side) == measure(METRICS[line.metric], *pair)
    assert found.sentence.startswith("The champion's mae was ")


@pytest.mark.parametrize("side", ["champion_earlier", "champion_current", "candidate_current"])
def test_a_score_that_is_missing_on_one_side_is_none_there_and_told(side: str) -> None:
    evidence = changed(ACTUAL[:30], OFF, CLOSE)
    assert evidence.earlier is not None
    model, _, when = side.partition("_")
    comparison = evidence.earlier if when == "earlier" else evidence.current
    scores = comparison.champion if model == "champion" else comparison.candidate
    assert scores is not None
    huge = replace(scores, predictions=(1e300, *scores.predictions[1:]))
    changes: dict[str, Any] = {model: huge}
    states: dict[str, Any] = {when: replace(comparison, **changes)}
    found = explain(replace(evidence, **states), "rmse")
    assert getattr(found.lines[0], side) is None
    assert found.sentence == "What the new data did to rmse cannot be told: a score is missing."


def test_without_an_earlier_state_or_a_champion_there_is_nothing_to_attribute() -> None:
    policy, evidence = make_policy(BOUND), changed(ACTUAL[:30], OFF, CLOSE)
    assert attribute(replace(evidence, earlier=None), join_rows(evidence.current), policy) is None
    first = replace(evidence, current=replace(evidence.current, champion=None))
    assert attribute(first, join_rows(first.current), policy) is None
    none = explain(replace(evidence), "rmsle")
    assert (none.lines, none.sentence) == ((), "")
