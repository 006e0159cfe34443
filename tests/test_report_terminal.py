"""What `gitops check` prints."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.gate.verdict import Outcome
from gitops.report.terminal import render_terminal
from tests.report_pages import (
    NO_LEAK,
    SLICES,
    WORSE,
    make_hostile_page,
    make_sample_page,
    make_verdict,
)

PRINTED = """\
✗ FAIL  fuel  against fuel@v1.1.0, 119 held-out rows
  rmse 4.11 is 1.18 worse than the champion's 2.93; at most 0.059 is tolerated

    rule                 candidate  champion    diff   90 % interval     bound
  ✗ rmse.max_regression       4.11      2.93   +1.18   0.710 to 1.66  ≤ 0.0586
  ✗ slice.origin=1.rmse       4.11      2.93   +1.18   0.400 to 1.50  ≤ 0.0586
  ? slice.origin=2.rmse       4.11      2.93  +0.300  -0.500 to 1.10  ≤ 0.0586
  ✓ rmse.max                  4.11         -       -    3.70 to 4.40    ≤ 4.50
  ✓ mae.max                   4.11         -       -    3.70 to 4.40    ≤ 4.50

  ✗ slice.origin=1.rmse: origin 1 is worse
  ? slice.origin=2.rmse: 31 rows cannot tell
  ? drift.wght (informs only): wght moved: distance 0.21 over 397 and 391 rows

  ✓ 4 checks passed: leak.feature, data.schema, serving.max_p99_ms, selftest

  The new rows are harder.

  next: gitops check
"""


def test_a_report_for_a_person_at_a_desk() -> None:
    printed = render_terminal(make_sample_page(), colour=False, width=80)
    assert re.sub("[\N{EN DASH}\N{MINUS SIGN}]", "-", printed) == PRINTED


@pytest.mark.parametrize("width", [60, 72, 80, 120])
def test_the_report_fits_the_terminal(width: int) -> None:
    printed = render_terminal(make_sample_page(), colour=False, width=width)
    assert max(map(len, printed.splitlines())) <= width
    assert "0.710 to 1.66" in printed


def test_colours_change_nothing_but_colours() -> None:
    page = make_sample_page()
    plain = render_terminal(page, colour=False)
    painted = render_terminal(page, colour=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain


def test_the_reason_in_the_headline_is_not_said_twice() -> None:
    printed = render_terminal(make_sample_page(), colour=False, width=200)
    assert printed.count(WORSE.reason) == 1


def test_a_verdict_without_figures_has_no_table() -> None:
    leak = replace(NO_LEAK, outcome=Outcome.FAIL, reason="the model needs the target `mpg`")
    page = replace(make_sample_page(), verdict=make_verdict(leak), commands=())
    printed = render_terminal(page, colour=False)
    assert "candidate" not in printed
    assert printed.endswith("  the model needs the target `mpg`\n\n  ✗ leak.feature\n")


def test_a_waiver_stands_below_the_verdict() -> None:
    page = replace(make_sample_page(), waiver="by Ada until 2026-12-31: known sensor fault")
    printed = render_terminal(page, colour=False)
    assert printed.splitlines()[3] == "  waived: by Ada until 2026-12-31: known sensor fault"


def test_a_hundred_failing_slices_leave_room_for_the_rules() -> None:
    many = tuple(replace(SLICES[0], rule=f"slice.zip={i}.rmse") for i in range(100))
    page = replace(make_sample_page(), verdict=make_verdict(*many, WORSE))
    printed = render_terminal(page, colour=False)
    assert "rmse.max_regression" in printed
    assert "and 92 more findings: see the report" in printed
    assert len(printed.splitlines()) < 40


@given(st.text())
def test_no_data_reaches_the_terminal_as_a_control_sequence(text: str) -> None:
    printed = render_terminal(make_hostile_page(text), colour=False)
    assert all(char.isprintable() or char in "\n\N{NO-BREAK SPACE}" for char in printed)
