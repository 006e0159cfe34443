"""Names, attributes and children come in; HTML or SVG with every datum escaped goes out."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from gitops.report.escape import strip_controls

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """Return text as markup: unchanged when it is, else escaped and without control characters."""
    return text if isinstance(text, Markup) else Markup(html.escape(strip_controls(text)))


def _attribute(name: str, value: str | float | None) -> str:
    if value is None:
        return ""
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {_spell(name)}="{html.escape(strip_controls(text))}"'


def _spell(name: str) -> str:
    """SVG mixes two spellings; only `viewBox` of those used here is in camel case."""
    return "viewBox" if name == "view_box" else name.rstrip("_").replace("_", "-")
