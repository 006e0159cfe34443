"""Up to 100 kB of hostile text in every field that data can reach: it stays text, and is cut."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops.flow.failures import make_failure
from gitops.note import Marker, render_note
from gitops.report.escape import has_command
from gitops.report.html import render_html
from gitops.report.markdown import render_markdown
from gitops.report.overview import ModelReport, render_overview
from gitops.report.terminal import render_terminal
from tests.report_pages import make_hostile_page
from tests.test_report_markdown import ATTACKS, NASTY, OWN_HTML, parse, shown_text

if TYPE_CHECKING:
    from markdown_it.token import Token

LONGEST = 100_000
HTML_ATTACKS = (
    "<script>alert(1)</script>",
    "</title><script src=//evil.example>",
    "</style></head><body onload=alert(1)>",
    "<svg/onload=alert(1)>",
    "<!-- --><!doctype html>",
    "]]><![CDATA[<img src=x>",
    "' onmouseover='alert(1)",
    '" style="background:url(//evil.example)',
    "javascript:alert(1)",
    "&lt;img src=x&gt;&#60;script&#62;",
    'verdict.json"><a href=//evil.example>',
    "/verdict.json",
)
FRAGMENTS = st.one_of(st.sampled_from((*ATTACKS, *HTML_ATTACKS)), NASTY, st.text(max_size=40))


def repeat(parts: list[str], length: int) -> str:
    """Return text of a length, made of parts over and over: what an attacker can do cheaply."""
    whole = "".join(parts) or "x"
    return (whole * (length // len(whole) + 1))[:length]


HUGE = st.builds(
    repeat, st.lists(FRAGMENTS, min_size=1, max_size=6), st.integers(min_value=1, max_value=LONGEST)
)
SLOWLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Reader(HTMLParser):
    """What a browser makes of a page: its elements with the names of their attributes, its URLs."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary: set[tuple[str, tuple[str, ...]]] = set()
        self.targets: set[str] = set()
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.vocabulary.add((tag, tuple(name for name, _ in attrs)))
        named = {"href", "src", "action", "xlink:href", "srcset", "style", "http-equiv"}
        self.targets |= {str(value) for name, value in attrs if name in named}

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def read_html(text: str) -> Reader:
    reader = Reader()
    reader.feed(render_html(make_hostile_page(text)))
    reader.close()
    return reader


USUAL = read_html("-1\n+2\n@3\n 4")


def check_note(text: str) -> None:
    note = render_markdown(make_hostile_page(text))
    tokens = parse(note)
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "html_inline"}
    assert all(OWN_HTML.fullmatch(t.content) for t in tokens if t.type == "html_block")
    assert not re.search(r"[@#!~&$]\w|%[^\W\d]|://|www\.|:\w+:", shown_text(tokens))
    assert not has_command(note)
    assert len(note) < 250_000


@SLOWLY
@given(HUGE)
def test_a_note_has_no_link_image_html_mention_or_command_from_data(text: str) -> None:
    check_note(text)


@pytest.mark.parametrize("attack", [*ATTACKS, *HTML_ATTACKS])
def test_each_known_attack_stays_text_in_a_note_at_full_length(attack: str) -> None:
    check_note(repeat([attack, "\n"], LONGEST))


def check_failure(text: str) -> None:
    """What a failed run says, as read from its document, and as the renderer would take it raw."""
    failure = make_failure(
        commit="a" * 40, fingerprint="sha256:" + "b" * 64, what=text, where=text, hint=text
    )
    assert len(failure.text) <= 8000
    for said in (failure.text, text):
        reports = [ModelReport(model=name, outcome=None, failure=said) for name in ("a", "b")]
        note = render_overview(reports, skipped=(), commit="a" * 40, link="")
        tokens = parse(note)
        kinds = {token.type for token in tokens}
        assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_block"}
        assert sum(token.type == "fence" for token in tokens) in (0, 2)
        assert shown_text(tokens) == (shown_text(USUAL_FAILURE) if "fence" in kinds else SILENT)
        assert not has_command(note)
        assert len(note) < 50_000
    render_note(Marker(scope="gitops"), note)


def make_usual_failure(said: str) -> list[Token]:
    reports = [ModelReport(model=name, outcome=None, failure=said) for name in ("a", "b")]
    return parse(render_overview(reports, skipped=(), commit="a" * 40, link=""))


USUAL_FAILURE = make_usual_failure("fit failed")
SILENT = shown_text(make_usual_failure(""))


@SLOWLY
@given(HUGE)
def test_what_a_failed_run_says_stays_in_its_code_block(text: str) -> None:
    check_failure(text)


@pytest.mark.parametrize("attack", [*ATTACKS, *HTML_ATTACKS])
def test_each_known_attack_stays_in_the_code_block_of_a_failed_run(attack: str) -> None:
    for text in (attack, repeat([attack, "\n"], LONGEST)):
        check_failure(text)


@SLOWLY
@given(HUGE)
def test_a_page_has_no_element_attribute_or_address_from_data(text: str) -> None:
    reader = read_html(text)
    assert reader.vocabulary <= USUAL.vocabulary
    assert reader.targets <= USUAL.targets | {"verdict.json"}
    assert reader.others == []


@pytest.mark.parametrize("attack", HTML_ATTACKS)
def test_each_known_attack_stays_text_on_a_page(attack: str) -> None:
    for text in (attack, repeat([attack], LONGEST)):
        reader = read_html(text)
        assert reader.vocabulary <= USUAL.vocabulary
        assert reader.targets <= USUAL.targets | {"verdict.json"}


@SLOWLY
@given(HUGE)
def test_a_terminal_gets_no_control_characters_and_no_flood(text: str) -> None:
    printed = render_terminal(make_hostile_page(text), colour=False)
    assert not CONTROLS.search(printed)
    assert len(printed) < 30_000


def test_a_page_of_huge_names_stays_small() -> None:
    assert len(render_html(make_hostile_page("<&\"'" * 25_000))) < 2_500_000
