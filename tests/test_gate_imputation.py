"""Gaps filled with the class of their row are found; values that repeat honestly are not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.gate.evidence import join_rows
from gitops.gate.imputation import Spike, check_imputation, find_spikes, log_chance
from gitops.gate.verdict import Outcome
from gitops.policy import Severity
from tests.gate_evidence import make_evidence, make_policy, make_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.verdict import Finding

ROWS = 400
LABELS = [float(value) for value in np.random.default_rng(1).random(ROWS) < 0.4]
MEASURED = np.random.default_rng(2).normal(7, 1.5, ROWS).tolist()
GAPS = np.random.default_rng(3).random(ROWS) < 0.15


def fill(values: Mapping[float, object], shared: float = 0.0) -> list[object]:
    """Fill the gaps of the measured column by class; a share of them by the other class."""
    swapped = np.random.default_rng(4).random(ROWS) < shared
    return [
        (values[1 - label] if swap else values[label]) if gap else value
        for value, label, gap, swap in zip(MEASURED, LABELS, GAPS, swapped, strict=True)
    ]


def check(
    inputs: Mapping[str, Sequence[object]], labels: Sequence[object] = LABELS
) -> tuple[Finding, ...]:
    evidence = make_evidence(labels, [0.5] * len(labels), inputs=inputs)
    policy = make_policy(make_rule(maximum=1))
    return check_imputation(evidence, join_rows(evidence.current), policy)


def find(column: Sequence[object], labels: Sequence[str]) -> tuple[Spike, ...]:
    names, classes = np.unique(labels, return_inverse=True)
    return find_spikes(column, names.tolist(), classes)


def class_means() -> dict[float, object]:
    rows = list(zip(MEASURED, LABELS, GAPS, strict=True))
    return {
        label: math.fsum(own) / len(own)
        for label in (0.0, 1.0)
        for own in [[value for value, each, gap in rows if each == label and not gap]]
    }


def test_gaps_filled_with_the_mean_of_the_class_are_refused_by_the_name_of_the_column() -> None:
    (finding,) = check({"honest": MEASURED, "ph": fill(class_means())})
    assert finding.rule == "leak.imputed"
    assert finding.outcome is Outcome.FAIL
    assert finding.severity is Severity.BLOCK
    assert "missing values of `ph` were filled by `mpg`, the answer itself" in finding.reason
    assert "honest" not in finding.reason
    assert f"of the {sum(GAPS & (np.array(LABELS) == 0))} rows with exactly" in finding.reason


def test_filled_gaps_are_found_among_whole_numbers_as_well() -> None:
    column = [
        value if gap else round(10 * float(str(value)))
        for value, gap in zip(fill({0.0: 69.3, 1.0: 72.8}), GAPS, strict=True)
    ]
    (finding,) = check({"hardness": column})
    assert finding.outcome is Outcome.FAIL


def test_every_filled_column_is_named() -> None:
    (finding,) = check({"ph": fill(class_means()), "sulfate": fill({0.0: 6.5, 1.0: 7.5})})
    assert "`ph`, `sulfate`" in finding.reason


def test_a_few_cells_of_the_other_class_hide_nothing() -> None:
    (finding,) = check({"ph": fill(class_means(), shared=0.04)})
    assert finding.outcome is Outcome.FAIL


PASSING: dict[str, list[object]] = {
    "measured": list(MEASURED),
    "left missing": fill({0.0: None, 1.0: None}),
    "filled with the mean of all rows": fill({0.0: 7.01, 1.0: 7.01}),
    "filled at random": fill(class_means(), shared=0.5),
    "limits of the measurement": [min(8.0, max(6.0, value)) for value in MEASURED],
    "limits of a telling measurement": [
        min(9.0, max(5.0, value + 4 * label - 2))
        for value, label in zip(MEASURED, LABELS, strict=True)
    ],
    "whole numbers": [round(value) for value in MEASURED],
    "whole numbers that tell the class": [
        round(value + 20 * label) for value, label in zip(MEASURED, LABELS, strict=True)
    ],
    "clusters that tell the class": [
        round(value / 3 + 5 * label) for value, label in zip(MEASURED, LABELS, strict=True)
    ],
    "codes that tell the class": [
        (1 if value < 4 else 9 if value > 10 else 3 + 2 * label)
        for value, label in zip(MEASURED, LABELS, strict=True)
    ],
    "the class itself": list(LABELS),
    "words": ["fit" if label else "unfit" for label in LABELS],
    "one value": [1] * ROWS,
    "nothing": [None] * ROWS,
}


@pytest.mark.parametrize("column", PASSING.values(), ids=PASSING.keys())
def test_an_honest_column_passes(column: list[object]) -> None:
    (finding,) = check({"ph": column})
    assert finding.outcome is Outcome.PASS


def test_three_classes_are_told_apart_as_well() -> None:
    labels = ["abc"[i % 3] for i in range(ROWS)]
    means = {"a": 6.9, "b": 7.0, "c": 7.1}
    rows = zip(MEASURED, labels, GAPS, strict=True)
    column = [means[label] if gap else value for value, label, gap in rows]
    spikes = find(column, labels)
    assert [spike.label for spike in spikes] == ["a", "b", "c"]
    assert log_chance(spikes) < -20


def test_a_number_to_predict_has_no_classes_to_fill_by() -> None:
    assert check({"ph": fill(class_means())}, labels=MEASURED) == ()


def test_a_handful_of_filled_gaps_is_not_called_a_leak() -> None:
    few = [
        None if gap and i > 40 else v
        for i, (v, gap) in enumerate(zip(fill(class_means()), GAPS, strict=True))
    ]
    (finding,) = check({"ph": few})
    assert finding.outcome is Outcome.PASS


@given(st.permutations(range(ROWS)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    column = fill(class_means())
    again = check({"ph": [column[i] for i in order]}, [LABELS[i] for i in order])
    assert again == check({"ph": column})


CELLS = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3))


@given(st.lists(st.tuples(CELLS, st.sampled_from("ab")), min_size=1, max_size=60))
def test_any_column_is_answered(rows: list[tuple[object, str]]) -> None:
    column, labels = [cell for cell, _ in rows], [label for _, label in rows]
    assert log_chance(find(column, labels)) <= 0


def test_repeats_of_independent_classes_are_called_a_leak_in_none_of_a_thousand_columns() -> None:
    random = np.random.default_rng(5)
    for _ in range(1000):
        values = random.normal(size=100)
        values[random.random(100) < 0.3] = random.choice([-0.2, 0.1, 0.3])
        labels = random.choice(["no", "yes"], 100).tolist()
        assert log_chance(find(values.tolist(), labels)) > math.log(1e-6)


def test_an_honest_column_that_tells_the_class_is_never_called_a_leak() -> None:
    """Two clusters at any distance, rounded to tens, units, tenths or hundredths, large and small."""
    random = np.random.default_rng(6)
    for round_ in range(400):
        rows = int(random.integers(50, 1000)) if round_ % 20 else 50_000
        classes = random.integers(0, 2, rows)
        values = random.normal(size=rows) * random.uniform(0.5, 5) + random.uniform(0, 6) * classes
        column = np.round(values, int(random.integers(-1, 3))).tolist()
        assert log_chance(find_spikes(column, ["no", "yes"], classes)) > math.log(1e-6)


def make_column(
    repeats: int,
    *,
    others: int = 40,
    each: int = 10,
    spikes: tuple[float, float] = (10.4, 10.6),
    sorted_out: bool = False,
) -> tuple[list[object], list[str]]:
    """Return a column with one telling number for class a and one for class b, and their classes.

    The other numbers, 0, 1, 2 and so on, are in `each` rows, half of them of either class; or,
    sorted out, of a below the telling numbers and of b above them.
    """
    rows = [(spikes[0], "a")] * repeats + [(spikes[1], "b")] * repeats
    for number in range(others):
        side = "a" if number < spikes[0] else "b"
        rows += [(number, side if sorted_out else "ab"[i % 2]) for i in range(each)]
    return [value for value, _ in rows], [label for _, label in rows]


def test_a_telling_number_is_described_exactly() -> None:
    """Fifty neighbours on either side, half of them of each class, and one row more of either."""
    first, second = find(*make_column(100))
    assert first == Spike(value=10.4, rows=100, label="a", agreeing=100, usual=26 / 52)
    assert (second.value, second.label, second.usual) == (10.6, "b", 26 / 52)
    # Half as many neighbours as repeats: two whole numbers below, and the last six rows of a third.
    assert find(*make_column(52))[0].usual == 12 / 28


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (make_column(100, others=30), True),
        (make_column(100, others=29), False),
        (make_column(60, each=3), True),
        (make_column(60, each=3, others=38), True),
        (make_column(60, each=2, others=30), True),
        (make_column(61, each=2, others=30), False),
        (make_column(100, spikes=(-1, 10.6)), False),
        (make_column(100, spikes=(10.4, 99)), False),
        (make_column(100, spikes=(10.4, 10.4)), False),
        (make_column(100, sorted_out=True), False),
    ],
)
def test_what_counts_as_telling(column: tuple[list[object], list[str]], found: bool) -> None:
    assert bool(find(*column)) is found


def test_a_number_that_tells_one_class_only_is_no_fill() -> None:
    column, labels = make_column(100)
    assert find(column[:100] + column[200:], labels[:100] + labels[200:]) == ()


def test_equal_numbers_beside_a_telling_one_are_taken_in_no_particular_order() -> None:
    column, labels = make_column(61, each=13)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(column))
        assert find([column[i] for i in order], [labels[i] for i in order]) == find(column, labels)


def test_the_more_columns_are_looked_at_the_more_rows_it_takes() -> None:
    column, labels = make_column(12, each=4)
    chance = log_chance(find(column, labels))
    assert math.log(1e-6 / 1000) < chance < math.log(1e-6)
    encoded = [float(label == "b") for label in labels]
    alone = check({"ph": column}, encoded)
    among = check({"ph": column, **{f"c{i}": [1] * len(column) for i in range(999)}}, encoded)
    assert [alone[0].outcome, among[0].outcome] == [Outcome.FAIL, Outcome.PASS]


def test_a_tenth_of_other_classes_is_more_than_almost_all() -> None:
    assert find(fill(class_means(), shared=0.12), [str(label) for label in LABELS]) == ()


def test_twenty_classes_are_looked_at_and_more_are_numbers_to_predict() -> None:
    (finding,) = check({"ph": MEASURED}, [float(i % 20) for i in range(ROWS)])
    assert (finding.rule, finding.outcome) == ("leak.imputed", Outcome.PASS)
    assert check({"ph": MEASURED}, [float(i % 21) for i in range(ROWS)]) == ()


def test_without_columns_or_labels_there_is_nothing_to_say() -> None:
    assert check({}) == ()
    unknown: list[object] = [None, *LABELS[1:]]
    assert check({"ph": fill(class_means())}, unknown) == ()


def test_the_target_among_the_columns_is_left_to_the_check_that_names_it() -> None:
    (finding,) = check({"mpg": fill(class_means())})
    assert finding.outcome is Outcome.PASS
