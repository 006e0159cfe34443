"""The HTML report: what it shows, to whom, and what no data can make it do."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.flow.reporting import write_report
from gitops.gate.verdict import Outcome
from gitops.report.html import render_html
from gitops.report.markup import Markup, escape, tag
from gitops.report.page import Page
from gitops.report.story import Chapter, render_story
from tests.report_pages import (
    BELOW,
    NO_LEAK,
    SLICES,
    make_hostile_page,
    make_run,
    make_sample_classes,
    make_sample_page,
    make_verdict,
)

if TYPE_CHECKING:
    from pathlib import Path

XML_CHARACTERS = st.characters(codec="utf-8")
HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '" onload="alert(1)',
            "</style><img src=x onerror=alert(1)>",
            "&lt;b&gt;",
            "\x1b]0;x\x07",
            "a\x00b",
            "",
        ]
    ),
    st.text(XML_CHARACTERS, max_size=60),
)


def body(document: str) -> ET.Element:
    """Parse what stands in the body; that it parses shows that every element is closed."""
    text = document[document.index("<body>") : document.index("</html>")]
    return ET.fromstring(text)


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.fixture
def document() -> str:
    return render_html(make_sample_page())


def test_the_page_begins_with_the_verdict_and_the_reason(document: str) -> None:
    banner = body(document).find("main/header")
    assert banner is not None
    assert "FAIL" in words(banner)
    assert "rmse 4.11 is 1.18 worse than the champion's 2.93" in words(banner)
    assert "gitops check" in words(banner)


def test_the_page_loads_nothing_and_runs_nothing(document: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in document.replace(
        "&#x27;", "'"
    )
    assert "<script" not in document
    assert not re.search(r"https?://|url\(|@import|<link|<img|<iframe", document)


def test_a_screen_reader_finds_landmarks_headers_and_words_for_each_picture(document: str) -> None:
    root = body(document)
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    assert root.find("main") is not None
    assert all(cell.get("scope") for cell in root.iter("th"))
    for picture in root.iter("svg"):
        if picture.get("aria-hidden") != "true":
            assert picture.get("role") == "img"
            assert [child.tag for child in picture][:2] == ["title", "desc"]
    for element in root.iter():
        assert set((element.get("aria-labelledby") or "").split()) <= ids


def test_every_id_is_used_once_even_where_pages_are_joined() -> None:
    page = make_sample_page()
    chapter = Chapter(title="twice", text="", outcome=Outcome.PASS, pages=(page, page))
    root = body(render_story(title="t", introduction=(), chapters=(chapter, chapter)))
    ids = Counter(element.get("id") for element in root.iter() if element.get("id"))
    assert set(ids.values()) == {1}


def test_each_rule_with_figures_has_a_picture_of_its_interval_and_bound(document: str) -> None:
    titles = [words(title) for title in body(document).iter("title")]
    assert titles[:3] == [
        "rmse.max_regression: interval and bound",
        "rmse.max: interval and bound",
        "mae.max: interval and bound",
    ]


def test_every_picture_that_a_data_scientist_expects_of_a_regression_is_there(
    document: str,
) -> None:
    titles = {words(title) for title in body(document).iter("title")}
    assert titles >= {
        "origin=3: interval and bound",
        "Predicted against actual",
        "Errors: predicted minus actual",
        "Candidate against champion, row by row",
        "Weight of each input",
        "wght: before and after",
        "wght origin: before and after",
    }


@pytest.mark.parametrize("names", [("0", "1"), ("ash", "oak", "yew"), tuple("abcdefghijkl")])
def test_a_classification_has_confusion_roc_and_calibration(names: tuple[str, ...]) -> None:
    points = make_sample_classes(names=names)
    root = body(render_html(replace(make_sample_page(), points=points)))
    titles = {words(title) for title in root.iter("title")}
    assert titles >= {"ROC curve", "Calibration", "Candidate against champion, row by row"}
    table = next(one for one in root.iter("table") if "confusion" in (one.get("class") or ""))
    assert len(list(table.iter("tr"))) == 1 + min(len(names), 8)


def test_what_was_not_looked_at_has_no_section() -> None:
    page = replace(make_sample_page(), importance=(), serving=(), shift=None, points=None)
    text = words(body(render_html(replace(page, verdict=make_verdict(BELOW)))))
    for section in ("Weight of each input", "Serving", "Data", "Slices", "Confusion", "Errors"):
        assert section not in text


def test_a_slice_with_too_few_rows_is_faint_and_says_that_it_is_not_judged(document: str) -> None:
    faint = [row for row in body(document).iter("tr") if row.get("class") == "faint"]
    assert [words(row).startswith("not judgedorigin=3rmse14") for row in faint] == [True]


def test_long_lists_fold_and_say_how_many_there_are() -> None:
    many = tuple(replace(SLICES[1], rule=f"slice.zip={i}.rmse") for i in range(300))
    root = body(render_html(replace(make_sample_page(), verdict=make_verdict(*many))))
    summaries = [words(summary) for summary in root.iter("summary")]
    assert "288 more slices" in summaries
    assert "and 100 more, not shown" in words(root)


def test_only_a_page_that_stands_alone_links_to_the_documents_beside_it(document: str) -> None:
    links = {link.get("href") for link in body(document).iter("a")}
    assert links == {"verdict.json", "junit.xml", "metrics.txt"}
    chapter = Chapter(title="t", text="", outcome=Outcome.PASS, pages=(make_sample_page(),))
    story = render_story(title="t", introduction=(), chapters=(chapter,))
    assert {link.get("href") for link in body(story).iter("a")} == {"#part-1"}


def test_who_waived_a_verdict_stands_in_the_banner() -> None:
    page = replace(make_sample_page(), waiver="by Ada <ada@example.org>: known sensor fault")
    banner = body(render_html(page)).find("main/header")
    assert banner is not None
    assert "Waived by Ada <ada@example.org>: known sensor fault" in words(banner)


def test_a_model_without_champion_or_predictions_still_has_a_page() -> None:
    page = make_sample_page()
    run = replace(page.run, champion=None, champion_reason="first release", base=None, steps=())
    verdict = replace(make_verdict(NO_LEAK), champion="")
    text = words(
        body(render_html(replace(page, run=run, verdict=verdict, points=None, changes=())))
    )
    assert "no champion yet" in text
    assert "first release" in text
    assert "Predicted against actual" not in text


def test_a_bound_without_interval_is_written_instead_of_drawn() -> None:
    verdict = make_verdict(replace(BELOW, low=None))
    page = Page(verdict=verdict, run=make_run())
    assert "≤ 4.50" in words(body(render_html(page)))
    assert "<svg" not in render_html(page)


@given(HOSTILE)
def test_no_data_becomes_an_element_or_an_attribute(text: str) -> None:
    def vocabulary(data: str) -> set[tuple[str, tuple[str, ...]]]:
        root = body(render_html(make_hostile_page(data)))
        return {(element.tag, tuple(element.keys())) for element in root.iter()}

    usual = vocabulary("-1\n 2")
    assert vocabulary(text) <= usual


@given(st.text(XML_CHARACTERS), st.text(XML_CHARACTERS))
def test_a_tag_gives_back_its_text_and_attribute(text: str, value: str) -> None:
    element = ET.fromstring(tag("p", text, title=value))
    assert (element.text or "") == str(ET.fromstring(f"<p>{escape(text)}</p>").text or "")
    assert list(element) == []
    assert element.keys() == ["title"]


def test_markup_goes_in_as_it_is_and_data_does_not() -> None:
    assert tag("p", Markup("<b>x</b>"), "<b>", class_="c", title=None) == (
        '<p class="c"><b>x</b>&lt;b&gt;</p>'
    )


def test_a_story_links_to_each_of_its_chapters() -> None:
    chapters = (
        Chapter(title="linear", text="first", outcome=Outcome.PASS, gist="released", seconds=8.2),
        Chapter(title="readme", text="nothing", outcome=None, lines=("$ gitops plan", "<nothing>")),
    )
    root = body(render_story(title="The story", introduction=("Once.",), chapters=chapters))
    links = [link.get("href") for link in root.iter("a")]
    ids = {section.get("id") for section in root.iter("section")}
    assert links == ["#part-1", "#part-2"]
    assert {link.removeprefix("#") for link in links if link} <= ids
    assert "Merge request 1 · 8.2 s" in words(root)
    assert "<nothing>" in words(root)


def test_the_report_is_written_as_a_note_and_a_document(tmp_path: Path) -> None:
    note, document = write_report(make_sample_page(), tmp_path / "new" / "fuel")
    assert note.name == "report.md"
    assert note.read_text("utf-8").startswith("❌ **FAIL**")
    assert document.read_text("utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in note.parent.iterdir()) == ["report.html", "report.md"]
