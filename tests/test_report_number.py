"""How numbers are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.report.number import render_count, render_interval, render_number, render_seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.000012, "1.2e-5"),
        (0.00431, "0.00431"),
        (0.0586, "0.0586"),
        (0.41, "0.410"),
        (2.934, "2.93"),
        (119.04, "119"),
        (9.996, "10.0"),
        (12345.6, "12,346"),
        (3.2e12, "3.2e12"),
        (-1.5, "\N{MINUS SIGN}1.50"),
    ],
)
def test_a_number_keeps_the_digits_that_matter(value: float, text: str) -> None:
    assert render_number(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_is_a_dash(value: float | None) -> None:
    assert render_number(value) == "\N{EN DASH}"


def test_a_difference_shows_its_sign() -> None:
    assert render_number(0.41, signed=True) == "+0.410"
    assert render_number(-0.41, signed=True) == "\N{MINUS SIGN}0.410"
    assert render_number(0.0, signed=True) == "0"


@given(st.floats())
def test_no_number_is_ever_written_as_nan_or_with_a_hyphen_in_front(value: float) -> None:
    text = render_number(value, signed=True)
    assert "nan" not in text.lower()
    assert "inf" not in text.lower()
    assert not text.startswith("-")


@given(st.floats(min_value=-1e15, max_value=1e15))
def test_what_is_written_is_the_number_to_one_part_in_twenty(value: float) -> None:
    text = render_number(value).replace("\N{MINUS SIGN}", "-").replace(",", "")
    assert math.isclose(float(text), value, rel_tol=0.05, abs_tol=1e-300)


def test_an_interval_with_a_missing_end_is_a_dash() -> None:
    assert render_interval(2.61, 3.25) == "2.61 to 3.25"
    assert render_interval(2.61, None) == "\N{EN DASH}"


def test_counts_and_durations_read_as_words() -> None:
    assert render_count(1, "row") == "1 row"
    assert render_count(1200, "row") == "1,200 rows"
    assert [render_seconds(s) for s in (0.42, 12.3, 185.0)] == ["0.4 s", "12 s", "3 min 5 s"]
    assert render_seconds(None) == ""
