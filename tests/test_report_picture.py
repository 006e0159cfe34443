"""Scales, ticks and pictures, for any numbers that a model may bring."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gitops.report.columns import ColumnShift
from gitops.report.models import ImportanceLine
from gitops.report.pictures.chart import MOST_DOTS, make_scale, make_ticks
from gitops.report.pictures.columns import draw_column, draw_importance
from gitops.report.pictures.regression import (
    describe_errors,
    describe_predictions,
    draw_errors,
    draw_predictions,
)
from gitops.report.pictures.rows import describe_duel, draw_duel, make_duel
from gitops.report.pictures.spans import draw_row, draw_span, span_scale
from gitops.report.points import make_points
from gitops.report.span import Span, make_span
from tests.report_pages import (
    BELOW,
    NO_LEAK,
    SLICES,
    WORSE,
    make_sample_classes,
    make_sample_points,
)

NUMBERS = st.floats(min_value=-1e12, max_value=1e12)
NOT_NUMBERS = re.compile(r"nan|inf", re.IGNORECASE)


def coordinates(picture: str) -> list[float]:
    names = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"}
    elements = ET.fromstring(picture).iter()
    return [float(v) for element in elements for k, v in element.items() if k in names]


def test_only_rows_that_every_model_predicts_are_drawn() -> None:
    points = make_points([1.0, 2.0, None, 4.0], [1.0, math.nan, 3.0, 4.5], [1.0, 2.0, 3.0, 4.0])
    assert points is not None
    assert (points.actual, points.candidate, points.champion) == (
        (1.0, 4.0),
        (1.0, 4.5),
        (1.0, 4.0),
    )


def test_no_rows_is_no_picture() -> None:
    assert make_points([], []) is None
    assert make_points([1.0], [None]) is None


def test_predictions_that_do_not_line_up_with_the_rows_are_a_bug() -> None:
    with pytest.raises(ValueError, match="shorter"):
        make_points([1.0, 2.0], [1.0])


def test_a_regression_is_drawn_on_the_side_of_its_interval_whatever_the_direction() -> None:
    higher_is_better = replace(WORSE, difference=-1.18)
    spans = [make_span(finding) for finding in (WORSE, higher_is_better)]
    assert [span.point if span else None for span in spans] == [1.18, 1.18]


@pytest.mark.parametrize(
    ("rule", "below"),
    [
        ("r2.min", False),
        ("r2.min_improvement", False),
        ("r2.max", True),
        ("r2.max_regression", True),
    ],
)
def test_the_allowed_side_follows_from_the_rule(rule: str, below: bool) -> None:
    span = make_span(replace(BELOW, rule=rule))
    assert span is not None
    assert span.below is below


def test_there_is_nothing_to_draw_without_an_interval_a_bound_or_a_side() -> None:
    assert make_span(NO_LEAK) is None
    assert make_span(replace(BELOW, high=None)) is None
    assert make_span(replace(BELOW, bound=math.inf)) is None
    assert make_span(replace(BELOW, rule="rmse.sometimes")) is None


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans())
def test_an_interval_stays_in_its_picture(
    a: float, b: float, c: float, d: float, below: bool
) -> None:
    low, point, high = sorted((a, b, c))
    span = Span(point=point, low=low, high=high, bound=d, below=below)
    picture = draw_span(span, anchor="a", rule="r", tone="pass")
    assert not NOT_NUMBERS.search("".join(map(str, coordinates(picture))))
    assert all(-1 <= value <= 241 for value in coordinates(picture))


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_any_finite_rows_can_be_drawn(rows: list[tuple[float, float, float]]) -> None:
    points = make_points(*zip(*rows, strict=True))
    assert points is not None
    duel = make_duel(points)
    assert duel is not None
    pictures = (
        draw_predictions(points, anchor="a"),
        draw_errors(points, anchor="b"),
        draw_duel(duel, anchor="c"),
    )
    for picture in pictures:
        assert all(-1 <= value <= 441 for value in coordinates(picture))


def test_a_million_rows_make_a_small_picture() -> None:
    points = make_sample_points(rows=20_000)
    picture = draw_predictions(points, anchor="a")
    assert picture.count("<circle") <= MOST_DOTS
    assert len(picture) < 150_000


def test_a_picture_says_in_words_what_it_shows() -> None:
    points = make_points([10.0, 20.0, 30.0], [11.0, 18.0, 30.0], [13.0, 20.0, 25.0])
    assert points is not None
    assert (
        describe_predictions(points)
        == "3 held-out rows; the largest error is 2.00 (champion 5.00)."
    )
    assert describe_errors(points) == "Half of the rows are off by less than 1.00 (champion 3.00)."


def test_row_by_row_the_better_model_is_counted() -> None:
    points = make_points([10.0, 20.0, 30.0], [11.0, 18.0, 30.0], [13.0, 20.0, 25.0])
    assert points is not None
    duel = make_duel(points)
    assert duel is not None
    assert describe_duel(duel) == (
        "By size of the error, the candidate is better on 2 of 3 rows and the champion on 1."
    )


def test_without_a_champion_there_is_nothing_to_compare_row_by_row() -> None:
    assert make_duel(replace(make_sample_points(), champion=())) is None
    assert make_duel(replace(make_sample_classes(), champion=())) is None


def test_slices_share_one_scale_so_that_they_can_be_compared() -> None:
    spans = [span for span in map(make_span, SLICES) if span]
    across = span_scale(spans)
    pictures = [draw_row(s, across, anchor="a", rule="r", tone="pass") for s in spans]
    assert len(spans) == 3
    bounds = {re.findall(r'class="bound" x1="([\d.]+)"', picture)[0] for picture in pictures}
    assert len(bounds) == 1


@given(st.lists(st.floats(min_value=0, max_value=1e12), min_size=2, max_size=2))
def test_inputs_of_any_weight_can_be_drawn(weights: list[float]) -> None:
    lines = [ImportanceLine(name="x", candidate=weights[0], champion=weights[1])]
    assert all(-1 <= value <= 441 for value in coordinates(draw_importance(lines, anchor="a")))


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.lists(NUMBERS, min_size=1, max_size=20))
def test_any_column_can_be_drawn(before: list[float], after: list[float]) -> None:
    column = ColumnShift(
        name="x",
        distance=0.2,
        chance=0.1,
        missing=(0.0, 0.1),
        before=tuple(before),
        after=tuple(after),
    )
    assert all(-1 <= value <= 441 for value in coordinates(draw_column(column, anchor="a")))


@given(NUMBERS, NUMBERS)
def test_ticks_are_few_round_and_inside(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assume(high - low > 1e-6 * max(1.0, abs(low), abs(high)))
    ticks = make_ticks(low, high)
    assert 1 <= len(ticks) <= 7
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@given(st.lists(NUMBERS, min_size=1))
def test_a_scale_keeps_every_value_between_its_ends(values: list[float]) -> None:
    scale = make_scale(values, start=10, end=110)
    assert all(10 <= scale.at(value) <= 110 for value in (*values, 1e300, -1e300))
