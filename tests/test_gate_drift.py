"""Drift is named where it matters, and noise is not drift: few rows and many columns stay calm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gitops.config import Holdout
from gitops.gate.verdict import Outcome
from gitops.policy import DataRule, Severity
from tests.gate_profiles import about_data, judge_data, profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.profile import DataProfile
    from gitops.gate.verdict import Finding

COLORS = ["red", "green", "blue"]


RULE = DataRule(learnt=False)


def state(columns: Mapping[str, Sequence[Any]], name: str) -> DataProfile:
    """Return the profile of columns and of a target that never moves."""
    rows = len(next(iter(columns.values())))
    target = [(i + 0.5) / rows for i in range(rows)]
    return profile({**columns, "mpg": target}, data=name, holdout=Holdout(key=("mpg",)))


def judge_drift(
    old: Mapping[str, Sequence[Any]], new: Mapping[str, Sequence[Any]], rule: DataRule | None = None
) -> dict[str, Finding]:
    """Return the findings on drift between two data sets."""
    found = about_data(judge_data(state(new, "new"), state(old, "old"), rule or RULE))
    return {name: finding for name, finding in found.items() if name.startswith("drift")}


def normal(rows: int, *, seed: int, mean: float = 0.0) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).normal(mean, 1, rows)]


def draw_colors(rows: int, *, seed: int, shares: Sequence[float]) -> list[str]:
    return [str(name) for name in np.random.default_rng(seed).choice(COLORS, rows, p=shares)]


def test_a_column_of_numbers_that_moved_is_named_with_figures() -> None:
    findings = judge_drift({"hp": normal(300, seed=1)}, {"hp": normal(300, seed=2, mean=1)})
    finding = findings["drift.hp"]
    assert (finding.outcome, finding.severity) == (Outcome.FAIL, Severity.WARN)
    assert finding.reason.startswith("`hp` is distributed otherwise than in the champion's data")


def test_a_column_of_text_that_moved_names_the_value_that_moved_most() -> None:
    findings = judge_drift(
        {"color": draw_colors(400, seed=1, shares=[0.6, 0.3, 0.1])},
        {"color": draw_colors(400, seed=2, shares=[0.2, 0.3, 0.5])},
    )
    assert "`color` moved by 4" in findings["drift.color"].reason
    assert "`red` was 6" in findings["drift.color"].reason


def test_a_difference_too_small_to_matter_is_none_however_many_rows_prove_it() -> None:
    old, new = normal(9000, seed=1), normal(9000, seed=2, mean=0.15)
    assert list(judge_drift({"hp": old}, {"hp": new})) == ["drift"]


def test_eight_rows_never_alarm() -> None:
    old, new = {"hp": normal(1000, seed=1)}, {"hp": normal(8, seed=2, mean=9)}
    finding = judge_drift(old, new)["drift"]
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert "no column has 30 values on both sides" in finding.reason


@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_columns_of_noise_never_alarm(seed: int) -> None:
    random = np.random.default_rng(seed)
    old, new = (random.normal(size=(200, rows)).tolist() for rows in (120, 80))
    names = [f"c{i}" for i in range(200)]
    findings = judge_drift(dict(zip(names, old, strict=True)), dict(zip(names, new, strict=True)))
    assert list(findings) == ["drift"]


def test_few_of_the_columns_named_moved_by_accident() -> None:
    """Of 40 columns, 4 moved: over 60 repetitions at most 5 % of those named did not."""
    false = named = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        old, new = random.normal(size=(40, 60)), random.normal(size=(40, 60))
        new[:4] += 1.5
        names = [f"c{i:02}" for i in range(40)]
        found = judge_drift(
            dict(zip(names, old.tolist(), strict=True)), dict(zip(names, new.tolist(), strict=True))
        )
        found.pop("drift", None)
        named += len(found)
        false += sum(name not in {f"drift.{n}" for n in names[:4]} for name in found)
    assert named >= 60 * 4
    assert false / named <= 0.05


def test_names_that_hardly_ever_repeat_are_no_drift() -> None:
    old, new = ([f"car {(i * 7919 + shift) % 5000}" for i in range(900)] for shift in (0, 31))
    assert list(judge_drift({"name": old}, {"name": new})) == ["drift"]


def test_a_value_that_replaces_all_others_is_drift_even_in_a_small_file() -> None:
    findings = judge_drift({"color": ["red", "blue"] * 500}, {"color": ["none"] * 30})
    assert "drift.color" in findings


def test_the_policy_says_whether_drift_decides() -> None:
    old, new = {"hp": normal(300, seed=1)}, {"hp": normal(300, seed=2, mean=1)}
    blocking = judge_drift(old, new, DataRule(learnt=False, drift=Severity.BLOCK))
    assert blocking["drift.hp"].severity is Severity.BLOCK
    assert judge_drift(old, new, DataRule(learnt=False, drift=None)) == {}


def test_a_name_too_long_for_a_rule_is_cut_and_stays_another() -> None:
    names = ["x" * 200 + end for end in "ab"]
    findings = judge_drift(
        {name: normal(300, seed=1) for name in names},
        {name: normal(300, seed=2, mean=1) for name in names},
    )
    assert len(findings) == 2
    assert max(map(len, findings)) < 100
