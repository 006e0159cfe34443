"""Numbers come in; the one way to write each of them, in every rendering, goes out."""

from __future__ import annotations

import math

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
# Powers of ten that are written out; smaller and larger numbers take an exponent.
_SMALLEST, _LARGEST = -4, 9


def render_number(value: float | None, *, signed: bool = False) -> str:
    """Write a number with three significant digits or, when large, all before the point.

    No number is a dash, and so is an infinite or undefined one: the finding says in words why it is
    missing.

    Args:
        value: the number, in any unit.
        signed: write the plus sign of a positive number, as differences need it.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = _magnitude(abs(value))
    if not any(digit in text for digit in "123456789"):
        return text
    return _sign(value, signed=signed) + text


def render_interval(low: float | None, high: float | None) -> str:
    """Write an interval, e.g. ``2.61 to 3.25``; a dash when either end is missing."""
    ends = render_number(low), render_number(high)
    return NOTHING if NOTHING in ends else " to ".join(ends)


def render_count(count: int, noun: str) -> str:
    """Write a count with its noun, e.g. ``1 row`` or ``1,200 rows``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def render_share(share: float) -> str:
    """Write a share from 0 to 1 in percent, e.g. ``12.5 %``."""
    return f"{100 * share:.1f} %"


def render_seconds(seconds: float | None) -> str:
    """Write a duration, e.g. ``0.4 s``, ``12 s`` or ``3 min 5 s``; empty when there is none."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _sign(value: float, *, signed: bool) -> str:
    if value < 0:
        return MINUS
    return "+" if signed else ""


def _magnitude(size: float) -> str:
    if size == 0:
        return "0"
    exponent = int(f"{size:.2e}".partition("e")[2])
    if not _SMALLEST <= exponent < _LARGEST:
        return f"{size:.1e}".replace("e+", "e").replace("e0", "e").replace("e-0", "e-")
    return f"{size:,.{max(0, 2 - exponent)}f}"
