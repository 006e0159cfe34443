"""Degrees of freedom come in; the quantile and the tail of Student's t go out."""

from __future__ import annotations

import math

import numpy as np

Z95 = 1.6448536269514722
_STEPS = 20_000
_MOST_FREEDOM = 1000


def student95(freedom: float) -> float:
    """Return the 95 % quantile of Student's t (Cornish and Fisher's series; good from 5 on)."""
    z = Z95
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def student_tail(t: float, freedom: int) -> float:
    """Return the chance that Student's t exceeds a value; more than 1,000 degrees count as 1,000.

    With `t = sqrt(freedom) tan(angle)` the tail is an integral of a power of the cosine.
    """
    freedom = min(freedom, _MOST_FREEDOM)
    start = math.atan2(t, math.sqrt(freedom))
    step = (math.pi / 2 - start) / _STEPS
    angles = start + step * (np.arange(_STEPS) + 0.5)
    tail = float((np.cos(angles) ** (freedom - 1)).sum()) * step
    whole = math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)
    return tail / (math.sqrt(math.pi) * math.exp(whole))
