"""One column of the champion's data and of the candidate's come in; what went wrong goes out, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.profile import EMPTY, NUMBER, ColumnProfile
from gitops.gate.significance import compare_shares
from gitops.gate.wording import figure, percent, quote_names

if TYPE_CHECKING:
    from gitops.gate.evidence import Array
    from gitops.policy import ColumnRule

# Less than five percentage points more missing cells is not worth a person's time.
LEAST_MISSING, SURE = 0.05, 0.01
# Fewer numbers than this have no shape to compare.
MIN_ROWS = 20
MIN_FAR = 4
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_LEAST_DECIMALS = 0.2
_LEAST_GROWTH = 3.0


def find_kind_change(old: ColumnProfile, new: ColumnProfile, rule: ColumnRule | None) -> str:
    """Say that a column of numbers became text or the reverse; empty when it did not.

    A column without any value is of no kind, and a declared kind is the one that counts.
    """
    if old.kind == new.kind or EMPTY in (old.kind, new.kind):
        return ""
    if rule is not None and rule.kind == new.kind:
        return ""
    name = quote_names([new.name])
    if new.kind == NUMBER:
        return f"column {name} was text and holds only numbers now"
    words = [value for value, _ in new.values if not _is_number(value)]
    example = f", e.g. {quote_names(words[:1])}" if words else ""
    return f"column {name} was numbers and holds text now{example}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def find_missing_change(
    name: str, old: tuple[int, int], new: tuple[int, int], *, columns: int, fewer: bool = False
) -> str:
    """Say that clearly more cells of a column are missing; empty when they are not.

    Args:
        name: the column.
        old: missing cells and rows of the champion's data.
        new: the same of the candidate's.
        columns: how many columns are asked; the more, the surer each answer must be.
        fewer: look for clearly fewer instead.
    """
    before, after = old[0] / max(old[1], 1), new[0] / max(new[1], 1)
    change = before - after if fewer else after - before
    if change < LEAST_MISSING:
        return ""
    chance = compare_shares(*old, *new) if fewer else compare_shares(*new, *old)
    if chance >= SURE / columns:
        return ""
    return (
        f"{quote_names([name])} is missing in {percent(after)} of {new[1]:,} rows, and was in "
        f"{percent(before)} of {old[1]:,} in the champion's data"
    )


def find_range_fault(old: ColumnProfile, new: ColumnProfile, *, seen: int) -> str:
    """Say that a column's numbers are not of the size they were; empty when they are.

    Numbers somewhat beyond the old range are what new data is for. At fault are a column that is
    the old one times a power of ten, one that lost its decimals and grew, and more than a few
    numbers further out than the old range is wide.

    Args:
        old: the column in the champion's data.
        new: the column in the candidate's data.
        seen: how many numbers the old range was learnt from.
    """
    if old.kind != NUMBER or new.kind != NUMBER or _is_numbering(old):
        return ""
    before, after = np.array(old.sample), np.array(new.sample)
    fault = ""
    if min(len(before), len(after)) >= MIN_ROWS:
        fault = _find_scale(before, after) or _find_lost_decimals(before, after)
    fault = fault or _find_far(old, after, seen)
    return f"{quote_names([new.name])} {fault}" if fault else ""


def _is_numbering(column: ColumnProfile) -> bool:
    """Tell whether a column numbers the rows: such numbers only ever grow."""
    width = (column.high or 0.0) - (column.low or 0.0)
    counted = all(value.is_integer() for value in column.sample)
    return (
        counted
        and column.distinct >= MIN_ROWS
        and width < 2 * column.distinct
        and all(count == 1 for _, count in column.values)
    )


def _find_scale(before: Array, after: Array) -> str:
    old, new = np.quantile(before, _QUANTILES), np.quantile(after, _QUANTILES)
    comparable = old * new > 0
    if comparable.sum() < len(_QUANTILES) - 2:
        return ""
    powers = np.log10(new[comparable] / old[comparable])
    power = round(float(np.median(powers)))
    if power == 0 or np.abs(powers - power).max() > 0.15:
        return ""
    times = f"{10**power:,} times" if power > 0 else f"1/{10**-power:,} of"
    return (
        f"is {times} what it was in the champion's data (median {figure(float(np.median(before)))} "
        f"then, {figure(float(np.median(after)))} now): lost decimal points, or other units?"
    )


def _find_lost_decimals(before: Array, after: Array) -> str:
    had = float((before % 1 != 0).mean())
    then, now = float(np.median(np.abs(before))), float(np.median(np.abs(after)))
    grew = now > then and now >= _LEAST_GROWTH * then
    if had < _LEAST_DECIMALS or (after % 1 != 0).any() or not grew:
        return ""
    return (
        f"had decimals in {percent(had)} of its values and has none now, and its median went from "
        f"{figure(then)} to {figure(now)}: were the decimal points lost?"
    )


def _find_far(old: ColumnProfile, after: Array, seen: int) -> str:
    low, high = old.low or 0.0, old.high or 0.0
    width = high - low
    far = after[(after < low - width) | (after > high + width)]
    if width == 0 or len(far) < _least_far(len(after), seen):
        return ""
    worst = float(far[np.abs(far - (low + high) / 2).argmax()])
    return (
        f"has {len(far):,} of {len(after):,} values far outside what the champion's data showed "
        f"({figure(low)} to {figure(high)}), the farthest {figure(worst)}: lost decimal points, or "
        "other units?"
    )


def _least_far(rows: int, seen: int) -> int:
    """Return how many far numbers are too many.

    The heaviest tail that real columns have, a Pareto tail without a mean, leaves twice the range
    of `seen` numbers this often in `rows` others by accident: once in a hundred.
    """
    odds = rows / (2 * max(seen, 1))
    return max(MIN_FAR, math.ceil(math.log(0.01) / math.log(odds / (1 + odds))))
