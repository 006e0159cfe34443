"""The text of the note: its marker, and the guard before it is posted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import InputError, RefusedError
from gitops.note import LONGEST, Marker, check_note, make_marker, render_note
from gitops.report.escape import render_code, render_fence, render_prose

FUEL = Marker(scope="fuel", order=12)


def test_a_posted_note_is_known_by_its_first_line() -> None:
    found = make_marker(render_note(FUEL, "all well"))
    assert found is not None
    assert (found.scope, found.order) == ("fuel", 12)


def test_the_body_follows_the_marker_unchanged() -> None:
    assert render_note(FUEL, "# all\n\nwell\n").partition("\n\n")[2] == "# all\n\nwell\n"


def test_two_contents_of_one_order_have_different_markers() -> None:
    assert make_marker(render_note(FUEL, "a")) != make_marker(render_note(FUEL, "b"))


def test_a_marker_further_down_is_data() -> None:
    note = render_note(FUEL, "all well")
    assert make_marker("> " + note) is None
    assert make_marker("hello\n" + note) is None


def test_a_marker_cut_anywhere_is_no_marker() -> None:
    line = render_note(FUEL, "all well").partition("\n")[0]
    assert all(make_marker(line[:end]) is None for end in range(len(line)))


@pytest.mark.parametrize("scope", ["", "a b", "a-->", "../x\n", "-x", "x" * 101, "é"])
def test_a_scope_that_would_not_survive_a_comment_is_refused(scope: str) -> None:
    with pytest.raises(InputError):
        Marker(scope=scope)


@pytest.mark.parametrize(
    "body",
    [
        "/merge",
        "fine\n/approve",
        "fine\n   /label ~waived",
        "fine\n\t/merge",
        "a\n\n\n /MERGE",
        "> quoted\n/close",
        "fine\r/merge",
        "fine\n/\rmerge",
        "fine\n\x00/merge",
        "fine\x85/merge",
        "\N{NO-BREAK SPACE}/merge",
        "\ud800",
    ],
)
def test_a_body_that_the_bot_would_carry_out_is_refused(body: str) -> None:
    with pytest.raises(RefusedError):
        check_note(body)


@pytest.mark.parametrize("body", ["and/or", "a /merge b", "`/merge`", "1\n//comment", "- /merge"])
def test_a_slash_that_starts_no_command_is_let_through(body: str) -> None:
    check_note(body)


def test_a_note_longer_than_gitlab_takes_is_refused() -> None:
    with pytest.raises(RefusedError, match="characters"):
        render_note(FUEL, "x" * LONGEST)


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_whatever_passes_the_guard_has_no_command_for_gitlab(body: str) -> None:
    """GitLab drops carriage returns, then looks for a slash and a word at the start of a line."""
    try:
        text = render_note(FUEL, body)
    except RefusedError:
        return
    assert not re.search(r"^\s*/[a-z_]+", text.replace("\r", ""), re.MULTILINE | re.IGNORECASE)


@given(st.text(max_size=200))
def test_what_the_renderer_quotes_always_passes_the_guard(data: str) -> None:
    check_note(f"{render_code(data)}\n\n{render_prose(data)}\n\n{render_fence(data, 'text')}")
