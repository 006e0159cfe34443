"""Numbers come in; the figures and phrases of a finding's sentence go out."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.gate.interval import Estimate

_LONGEST_NAME, _MOST_NAMES = 80, 10


def figure(value: float) -> str:
    """Write a number with three significant digits, and a large one with all of its digits.

    >>> figure(0.061234), figure(4.107), figure(12345.6)
    ('0.0612', '4.11', '12,346')
    """
    size = abs(value)
    if size != 0 and (size >= 1e9 or size < 1e-4):
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 1000 else f"{float(f'{value:.3g}'):g}"


def count_rows(rows: int) -> str:
    """Write a number of rows, e.g. ``1 row`` or ``1,200 rows``."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def percent(share: float) -> str:
    """Write a share of one, e.g. ``12.3 %``."""
    return f"{figure(100 * share)} %"


def quote_names(names: Sequence[str]) -> str:
    """Write names of columns or values, long ones cut and many left off."""
    quoted = [f"`{name[:_LONGEST_NAME]}`" for name in names[:_MOST_NAMES]]
    more = len(names) - len(quoted)
    return ", ".join(quoted) + (f" and {more:,} more" if more else "")


def shorten(name: str) -> str:
    """Return a name that is short enough for a rule's identifier, and still another one's not."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def interval(estimate: Estimate) -> str:
    """Write the interval of a value, e.g. ``90 % interval 2.61 to 3.25``."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return "90 % interval unknown"
    return f"90 % interval {figure(estimate.low)} to {figure(estimate.high)}"


def interval_of_regression(regression: Estimate) -> str:
    """Write the interval of a regression in the direction of its point.

    E.g. ``90 % interval 0.71 to 1.66``, or ``90 % interval 0.1 better to 0.3 worse``.
    """
    low, high = regression.low, regression.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return "90 % interval unknown"
    if low < 0 < high:
        return f"90 % interval {figure(-low)} better to {figure(high)} worse"
    near, far = sorted((abs(low), abs(high)))
    return f"90 % interval {figure(near)} to {figure(far)}"


def compare(metric: str, candidate: float, champion: float, regression: Estimate) -> str:
    """Write how the candidate stands to the champion, with figures."""
    if regression.point == 0:
        return f"{metric} {figure(candidate)} is no different from the champion's"
    word = "worse" if regression.point > 0 else "better"
    by = figure(abs(regression.point))
    return f"{metric} {figure(candidate)} is {by} {word} than the champion's {figure(champion)}"
