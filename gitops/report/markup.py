"""Names, attributes and children come in; HTML or SVG with every datum escaped goes out."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from gitops.report.escape import strip_controls

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 2_000
_VOID = frozenset({"meta", "br", "hr"})


class Markup(str):
    """Text that is markup already; every other string is data and is escaped."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Return one element.

    Args:
        name: the element's name, a constant.
        children: `Markup` goes in as it is, any other string is escaped.
        attributes: names in Python's spelling, e.g. ``class_`` and ``aria_label``; one that is None
            is left out.
    """
    opening = f"<{name}{''.join(_attribute(*pair) for pair in attributes.items())}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{join(children)}</{name}>")


def join(children: Iterable[str]) -> Markup:
    """Return children one after the other, escaped where they are data."""
    return Markup("".join(escape(child) for child in children))


def escape(text: str) -> Markup:
    """Return text as markup: unchanged when it is, else escaped, without control characters, cut."""
    return text if isinstance(text, Markup) else Markup(html.escape(_cut(text)))


def _cut(text: str) -> str:
    """Drop what is not shown, and what nobody would read to its end."""
    return strip_controls(text if len(text) <= LIMIT else text[: LIMIT - 1] + "…")


def _attribute(name: str, value: str | float | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        value = Markup(f"{value:.2f}".rstrip("0").rstrip("."))
    return f' {_spell(name)}="{escape(value)}"'


def _spell(name: str) -> str:
    """SVG mixes two spellings; only `viewBox` of those used here is in camel case."""
    return "viewBox" if name == "view_box" else name.rstrip("_").replace("_", "-")
