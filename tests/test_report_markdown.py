"""The note on a merge request: what it says, and what no data can make it do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gitops.errors import RefusedError
from gitops.gate.verdict import Outcome
from gitops.report import markdown
from gitops.report.escape import (
    clean,
    has_command,
    render_code,
    render_fence,
    render_prose,
    render_row,
)
from gitops.report.markdown import render_markdown
from gitops.report.note import LEFT_OUT, MOST_CHARACTERS, join_blocks
from gitops.report.page import Page
from tests.report_pages import (
    BELOW,
    INFORMS,
    NO_LEAK,
    WORSE,
    make_hostile_page,
    make_run,
    make_sample_classes,
    make_sample_page,
    make_verdict,
)

if TYPE_CHECKING:
    from markdown_it.token import Token

ATTACKS = (
    "acc\n/merge",
    "/merge",
    "\u2028/merge",
    "@all",
    "![](http://x)",
    "[a](http://x)",
    "<http://x>",
    "http://example.org",
    "www.example.org",
    "</details><script>alert(1)</script>",
    "a|b",
    "a\\|b",
    "a\\\\|b` | <b>",
    "`",
    "``` \n/merge",
    "~~~\n/merge\n~~~",
    "`a` @all `b`",
    "\x1b[31mred",
    "\u202egpj.exe",
    "#1 !1 ~1 %1 $1 &1",
    ":tada:",
    "deadbeef",
    "- [ ] task",
    "",
    "x" * 5000,
)
NASTY = st.text(
    alphabet="`|\\@/#!<>[]()&*_~:$%+-=. \n\r\t\x00\x1bawm1\u2028\u202e\ufeff", max_size=60
)
HOSTILE = st.one_of(st.sampled_from(ATTACKS), NASTY, st.text(max_size=60))
OWN_HTML = re.compile(r"<details><summary>[A-Z][A-Za-z ,]+</summary>\n?|</details>\n?")


def parse(note: str) -> list[Token]:
    """Return every block and inline token, as a CommonMark parser with tables sees the note."""
    blocks = MarkdownIt("commonmark").enable("table").parse(note)
    return [token for block in blocks for token in (block, *(block.children or ()))]


def shown_text(tokens: list[Token]) -> str:
    """Return what is read as prose: everything outside code."""
    return "\n".join(token.content for token in tokens if token.type == "text")


def test_the_first_line_is_the_verdict_and_the_one_reason() -> None:
    first = render_markdown(make_sample_page()).splitlines()[0]
    assert first == (
        "❌ **FAIL**: rmse 4.11 is 1.18 worse than the champion's 2.93; at most 0.059 is tolerated"
    )


def test_a_rule_shows_everything_a_reviewer_needs_to_weigh_it() -> None:
    row = next(line for line in render_markdown(make_sample_page()).splitlines() if "+1.18" in line)
    assert row == (
        "| `rmse.max_regression` | 4.11 | 2.93 | +1.18 | 0.710 to 1.66 | ≤ 0.0586 | 119 | 0.390 "
        "| ❌ FAIL |"
    )


def test_the_rule_that_failed_comes_first() -> None:
    note = render_markdown(make_sample_page())
    assert note.index("| `rmse.max_regression`") < note.index("| `rmse.max`")


def test_a_rule_that_only_informs_says_so() -> None:
    assert "PASS (informs only)" in render_markdown(make_sample_page())


def test_names_in_a_reason_become_code_and_words_stay_words() -> None:
    reason = "the model needs the target column `mpg` (see data/auto-mpg.csv), 2% of 3.27"
    assert render_prose(reason) == (
        "the model needs the target column `mpg` (see `data/auto-mpg.csv`), 2% of 3.27"
    )


def test_sections_without_content_leave_no_trace() -> None:
    page = Page(verdict=make_verdict(WORSE), run=make_run())
    note = render_markdown(page)
    assert "Data or model" not in note
    assert "Policy change" not in note
    assert "Next" not in note
    assert "Nothing that concerns this model." in note


def test_a_verdict_without_figures_has_no_table_of_rules() -> None:
    page = replace(make_sample_page(), verdict=make_verdict(NO_LEAK, outcome=Outcome.PASS))
    assert "candidate | champion | difference" not in render_markdown(page)


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    findings = tuple(replace(BELOW, rule=f"rmse.max.{index}") for index in range(150))
    note = render_markdown(replace(make_sample_page(), verdict=make_verdict(*findings)))
    assert "and 90 more rows." in note
    assert len(note) < 100_000


def test_sections_are_tables_instead_of_pictures() -> None:
    note = render_markdown(make_sample_page())
    assert "| `origin=3` | `rmse` | 14 | 4.11 | 2.93 |" in note
    assert "| `wght` | 3.10 | 2.20 |" in note
    assert "| `wght` | 25.7 % | 0.0 % | 6.2 % |" in note
    assert "| one row, 99th percentile | 0.900 ms | 0.900 ms | 20.0 ms |" in note
    assert "For machines: `.gitops/fuel/verdict.json`" in note


def test_a_classification_shows_its_confusion() -> None:
    note = render_markdown(replace(make_sample_page(), points=make_sample_classes()))
    assert "| actual, then predicted | `0` | `1` |" in note
    assert "Area under the curve" in note


def test_a_waiver_is_the_second_thing_to_read() -> None:
    page = replace(make_sample_page(), waiver="by Ada until 2026-12-31: known sensor fault")
    assert render_markdown(page).splitlines()[2].startswith("**Waived**: by Ada until")


def test_a_section_that_would_make_the_note_too_long_is_left_out_by_name() -> None:
    assert join_blocks(["first", "x" * MOST_CHARACTERS, "last"]).split("\n\n") == [
        "first",
        LEFT_OUT,
        "last\n",
    ]


def test_a_note_that_would_run_a_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_subject", lambda _: "/merge")
    with pytest.raises(RefusedError, match="would run as a command") as caught:
        render_markdown(make_sample_page())
    assert caught.value.exit_code == 1


@given(HOSTILE)
@example("a\\|b")
def test_no_data_becomes_a_link_an_image_html_a_mention_or_a_command(text: str) -> None:
    note = render_markdown(make_hostile_page(text))
    tokens = parse(note)
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "html_inline"}
    assert all(OWN_HTML.fullmatch(t.content) for t in tokens if t.type == "html_block")
    assert not re.search(r"[@#!~&$]\w|%[^\W\d]|://|www\.|:\w+:", shown_text(tokens))
    assert not has_command(note)
    assert len(note) < 200_000


@given(HOSTILE)
def test_the_shape_of_the_note_does_not_depend_on_the_data(text: str) -> None:
    def shape(data: str) -> list[str]:
        skipped = {"text", "code_inline"}
        return [
            t.type for t in parse(render_markdown(make_hostile_page(data))) if t.type not in skipped
        ]

    assert shape(text or "-") == shape("plain")


@given(HOSTILE)
def test_a_name_comes_back_from_its_table_cell_as_it_was(text: str) -> None:
    table = "\n".join((render_row(["a", "b"]), "|--|--|", render_row([render_code(text), "end"])))
    cells = [t.content for t in parse(table) if t.type in {"code_inline", "text"}]
    look_alike = re.sub(r"\\+(?=\|)", "\N{REVERSE SOLIDUS OPERATOR}", clean(text))
    assert [cell.strip() for cell in cells] == ["a", "b", look_alike, "end"]


@given(HOSTILE)
def test_one_line_of_data_is_one_code_span(text: str) -> None:
    tokens = [t for t in parse(f"x {render_code(text)} y") if t.type == "code_inline"]
    assert [token.content.strip() for token in tokens] == [clean(text)]


@given(HOSTILE)
def test_a_fenced_block_holds_all_of_its_data(text: str) -> None:
    tokens = parse(f"before\n\n{render_fence(text, 'diff')}\n\nafter")
    assert [t.type for t in tokens if t.type in {"fence", "inline"}] == [
        "inline",
        "fence",
        "inline",
    ]


def test_what_is_cut_is_marked() -> None:
    assert clean("x" * 400) == "x" * 299 + "…"


def test_invisible_characters_are_dropped_and_line_ends_become_spaces() -> None:
    assert clean("a\x00b\u202ec\ufeff\r\nd\u2028e\tf") == "abc d e f"


def test_every_outcome_has_its_sign() -> None:
    for outcome, sign in zip(Outcome, "✅❌❓\N{HEAVY MINUS SIGN}", strict=True):
        page = replace(make_sample_page(), verdict=make_verdict(WORSE, INFORMS, outcome=outcome))
        assert render_markdown(page).startswith(sign)
