"""Answers to requests through the public address come in; whether a new revision may get more goes out.

Pure. Which of two revisions answered is what its answer says; whether the split is real is a matter
of odds, so that chance alone never decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, lgamma, log

from gitops.engines import TrafficCheck
from gitops.errors import RefusedError
from gitops.rollout import ServedIdentity, TrafficStep

# A split so far from the one that was asked for happens by chance in one of a million checks.
_ODDS = 1e-6
# Seconds below which nobody waits, and the noise of a network is larger than any difference.
_UNNOTICED = 0.05
_STEADY = 0.95


class SplitError(RefusedError):
    """The traffic is not split as it should be; a gateway may need a moment to follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request: how long it took, and who answered or what went wrong."""

    seconds: float
    identity: ServedIdentity | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two that answer: the new one, and the old one if it is known and another."""

    new: ServedIdentity
    old: ServedIdentity | None

    @property
    def can_be_told_apart(self) -> bool:
        """Tell whether the answers say which of the two gave them: not when only a limit changed."""
        return self.old != self.new


def needs_more(samples: Sequence[Sample], sides: Sides, percent: int, check: TrafficCheck) -> bool:
    """Tell whether to ask on: until there are enough, and a missing side is more than bad luck."""
    if len(samples) < check.requests:
        return True
    if not sides.can_be_told_apart:
        return False
    new = sum(sample.identity == sides.new for sample in samples)
    old = sum(sample.identity not in (None, sides.new) for sample in samples)
    lacks_new = not new and _is_possible(1 - percent / 100, len(samples))
    lacks_old = not old and percent < 100 and _is_possible(percent / 100, len(samples))
    # Where all fail there is nothing to wait for.
    return bool(new + old) and (lacks_new or lacks_old)


def _is_possible(share: float, count: int) -> bool:
    return bool(share**count > _ODDS)


def judge_traffic(
    samples: Sequence[Sample],
    *,
    sides: Sides,
    percent: int,
    check: TrafficCheck,
    baseline: float | None = None,
) -> TrafficStep:
    """Measure a share of the traffic.

    Args:
        samples: one a request.
        sides: who may answer.
        percent: share of the new one.
        check: what must hold.
        baseline: the old one's 95th percentile at an earlier share, for when it answers no more.

    Raises:
        RefusedError: too many errors, an answer from somebody else, a split that is not the one
            asked for, or a new one that is too slow.
    """
    failed = [sample for sample in samples if sample.identity is None]
    new = [s.seconds for s in samples if s.identity == sides.new]
    old = [s.seconds for s in samples if s.identity not in (None, sides.new)]
    step = TrafficStep(
        percent=percent,
        requests=len(samples),
        errors=len(failed),
        new=len(new),
        old=len(old),
        new_p95=find_percentile(new),
        old_p95=find_percentile(old),
    )
    _check_errors(step, failed, check)
    _check_strangers(samples, sides, percent)
    if sides.can_be_told_apart:
        _check_split(step)
        _check_latency(step, check, step.old_p95 or baseline)
    return step


def _check_errors(step: TrafficStep, failed: Sequence[Sample], check: TrafficCheck) -> None:
    if step.errors > check.max_error_rate * step.requests:
        raise RefusedError(
            f"at {step.percent} % of the traffic {step.errors} of {step.requests} requests failed: "
            f"{failed[0].problem}",
            hint="read the logs of the new one; rollout.check.max_error_rate is what is tolerated",
        )


def _check_strangers(samples: Sequence[Sample], sides: Sides, percent: int) -> None:
    known = (None, sides.new, sides.old)
    for sample in samples:
        other = sample.identity
        if other is None or other in known:
            continue
        if sides.old is not None or percent == 100:
            raise RefusedError(
                f"at {percent} % of the traffic somebody else answers: {other.model[:40]} "
                f"{other.version[:40]} of commit {other.commit[:12]}"
            )


def _check_split(step: TrafficStep) -> None:
    answered = step.new + step.old
    if find_odds(step.new, answered, step.percent / 100) < _ODDS:
        raise SplitError(
            f"the new one answered {step.new} of {answered} requests at {step.percent} % of the "
            "traffic: the split is not real",
            hint="see which routes the gateway has, and who else changes them",
        )


def _check_latency(step: TrafficStep, check: TrafficCheck, old: float | None) -> None:
    if step.new_p95 is None or old is None:
        return
    allowed = check.max_latency_ratio * max(old, _UNNOTICED)
    if step.new_p95 > allowed:
        raise RefusedError(
            f"at {step.percent} % of the traffic the new one takes {step.new_p95:.3f} s for 95 of "
            f"100 requests, the old one {old:.3f} s",
            hint=f"rollout.check.max_latency_ratio is {check.max_latency_ratio:g}",
        )


def find_percentile(seconds: Sequence[float]) -> float | None:
    """Return the 95th percentile, None of nothing."""
    ordered = sorted(seconds)
    return round(ordered[ceil(_STEADY * len(ordered)) - 1], 6) if ordered else None


def find_odds(count: int, total: int, share: float) -> float:
    """Return the odds of a count as far from its share of the total as this, on its side of it."""
    if share >= 1:
        return float(count == total)
    low = sum(_binomial(each, total, share) for each in range(count + 1))
    high = sum(_binomial(each, total, share) for each in range(count, total + 1))
    return min(low, high)


def _binomial(count: int, total: int, share: float) -> float:
    ways = lgamma(total + 1) - lgamma(count + 1) - lgamma(total - count + 1)
    return exp(ways + count * log(share) + (total - count) * log(1 - share))
