"""Chapters, one for each merge request, come in; one HTML document that tells them goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.report.document import Place, render_chip, render_document
from gitops.report.html import render_page
from gitops.report.markup import Markup, join, tag
from gitops.report.number import render_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.verdict import Outcome
    from gitops.report.page import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One merge request as a reader meets it.

    Attributes:
        title: its name, a few words.
        text: what it does and what came of it, one or two sentences.
        outcome: the gate's word, NOT_APPLICABLE where it had nothing to judge, None where it is
            not asked.
        gist: the result in a few words, e.g. ``released as fuel@v1.1.0``.
        lines: what the commands printed, where that says more than a page.
        pages: the reports of its models.
        seconds: how long it took, or None.
    """

    title: str
    text: str
    outcome: Outcome | None
    gist: str = ""
    lines: tuple[str, ...] = ()
    pages: tuple[Page, ...] = ()
    seconds: float | None = None


def render_story(
    *,
    title: str,
    introduction: Sequence[str],
    chapters: Sequence[Chapter],
    closing: Sequence[Chapter] = (),
) -> str:
    """Return one document: a title, an overview that links to each chapter, then the chapters.

    Args:
        title: the heading of the whole.
        introduction: sentences, one paragraph each.
        chapters: the merge requests, in order.
        closing: what happened afterwards, told in the same way but not numbered.
    """
    top = tag("header", tag("h1", title), *(tag("p", text) for text in introduction), class_="top")
    numbered = [(str(number), chapter) for number, chapter in enumerate(chapters, start=1)]
    told = [*numbered, *(("", chapter) for chapter in closing)]
    entries = (_entry(f"part-{i}", *part) for i, part in enumerate(told, start=1))
    overview = tag("nav", tag("ol", *entries, class_="path"), aria_label="Merge requests")
    parts = (_chapter(f"part-{i}", *part) for i, part in enumerate(told, start=1))
    return render_document(title, join((top, overview, *parts)))


def _entry(anchor: str, number: str, chapter: Chapter) -> Markup:
    cells = (
        tag("span", number, class_="soft"),
        tag("b", chapter.title),
        tag("span", chapter.gist, class_="soft gist"),
        render_chip(chapter.outcome) if chapter.outcome else Markup(""),
    )
    return tag("li", tag("a", *cells, href=f"#{anchor}"))


def _chapter(anchor: str, number: str, chapter: Chapter) -> Markup:
    took = render_seconds(chapter.seconds)
    count = " · ".join(part for part in (number and f"Merge request {number}", took) if part)
    lines = (
        tag("pre", *(_line(line) for line in chapter.lines), tabindex="0")
        if chapter.lines
        else Markup("")
    )
    pages = (
        render_page(page, Place(anchor=f"{anchor}-{index}", level=3))
        for index, page in enumerate(chapter.pages)
    )
    return tag(
        "section",
        tag("p", count, class_="count") if count else Markup(""),
        tag("h2", chapter.title, id=f"{anchor}-title"),
        tag("p", chapter.text),
        lines,
        *pages,
        class_="chapter",
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def _line(text: str) -> Markup:
    return join((text, "\n"))
