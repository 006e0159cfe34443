"""What the target branch carries and what servers answer come in; what should serve goes out.

Pure: no process, no network. A rollback is a commit like a release: pointer and manifest together.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gitops.errors import InputError, RefusedError
from gitops.manifest import render_manifest
from gitops.release import Carried, PlannedCommit, Release, Target, make_release
from gitops.waiver import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.config import ModelConfig
    from gitops.run import Prediction, Scores

# Predictions are float32 at the narrowest, so equal ones differ by less than this share.
TOLERANCE = 1e-6


class RolloutStep(StrEnum):
    """What a rollout has done so far; killed after any of them and run again, it converges."""

    FETCHED = "fetched"
    STARTED = "started"
    IDENTIFIED = "identified"
    REPLAYED = "replayed"
    SWITCHED = "switched"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedIdentity:
    """Which model answers: the commit is the one that carries its pointer."""

    model: str
    version: str
    commit: str
    bundle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far the server's answers are from the gate's predictions, row by row.

    Attributes:
        rows: rows compared.
        worst: largest difference of a number or probability, as a share of it (or of their mean
            size, if larger).
        worst_id: row id of that difference.
    """

    rows: int
    worst: float
    worst_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficStep:
    """What requests through the public address met while a new revision had a share of the traffic.

    Attributes:
        percent: share of the new one.
        requests: how many were sent.
        errors: how many of them failed.
        new: how many the new one answered.
        old: how many the old one answered.
        new_p95: 95th percentile of the new one's seconds, None when it answered none.
        old_p95: the same of the old one.
    """

    percent: int
    requests: int
    errors: int
    new: int
    old: int
    new_p95: float | None
    old_p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A model that answers: where, which one, and how it was compared.

    Attributes:
        model: name in gitops.yaml.
        url: address that stays the same from one rollout to the next; empty when nothing says it.
        identity: what the server says it is, or will say where `applied` is False.
        parity: the comparison with the gate's predictions, None when there are none of this bundle.
        previous: what answered before, None at the first rollout.
        changed: False when this one was serving already.
        engine: what serves: `local` or `kserve`.
        port: port of the address, None on a cluster.
        pid: process that answers behind it, None on a cluster.
        applied: False when the manifest was committed and left to Argo CD or Flux.
        committed: commit that brought the manifest to the target branch, empty when none had to.
        steps: the shares of the traffic that were measured, in order.
    """

    model: str
    url: str
    identity: ServedIdentity
    parity: Parity | None
    previous: ServedIdentity | None
    changed: bool
    engine: str = "local"
    port: int | None = None
    pid: int | None = None
    applied: bool = True
    committed: str = ""
    steps: tuple[TrafficStep, ...] = ()


def make_identity(release: Release) -> ServedIdentity:
    """Return the identity that a server of this release must have."""
    return ServedIdentity(
        model=release.model,
        version=release.version,
        commit=release.commit,
        bundle=release.manifest.bundle,
    )


def parse_identity(body: Mapping[str, Any]) -> ServedIdentity:
    """Read the identity that an answer carries; what it leaves out is empty."""
    names = {"model": "name", "version": "version", "commit": "commit", "bundle": "bundle"}
    return ServedIdentity(**{field: str(body.get(key, "")) for field, key in names.items()})


def rollout_to_json(rollout: Rollout) -> dict[str, Any]:
    """Return the rollout document."""
    return asdict(rollout)


def find_registered(target: Target, model: str) -> tuple[Carried, Release]:
    """Return what the target branch says should serve.

    Raises InputError when nothing is released yet, and RefusedError when no release wrote what the
    branch carries: nobody judged it.
    """
    carried = target.carried
    if carried is None:
        raise InputError(
            f"{model} has no release on {target.branch} yet", hint=f"run: gitops release {model}"
        )
    for tagged in target.tagged:
        if (tagged.pointer, tagged.manifest) == (carried.pointer, carried.manifest):
            return carried, make_release(carried, created=False)
    raise RefusedError(
        f"{target.branch} carries {model} {carried.manifest.version}, which no tag registers",
        hint=f"to return to a release, run: gitops rollback {model} --to VERSION",
    )


def plan_rollback(
    config: ModelConfig, target: Target, *, leaving: str, to: str, reason: str
) -> PlannedCommit | Release:
    """Say what to push so that the target branch carries the earlier release `to` again.

    Args:
        config: the model.
        target: what the branch says now.
        leaving: version that was to be left when the rollback began.
        to: version to return to.
        reason: why, for the commit message.

    Raises:
        InputError: there is no such release, or history was rewritten.
        RefusedError: something else was released meanwhile.
    """
    carried = target.carried
    if carried is not None and carried.manifest.version == to:
        return make_release(carried, created=False)
    now = carried.manifest.version if carried else "no release"
    if now != leaving:
        raise RefusedError(
            f"superseded: {target.branch} now carries {config.name} {now}, not {leaving}",
            hint=f"look at it, then run: gitops rollback {config.name} --to {to}",
        )
    restored = find_release(config.name, target, to)
    if target.lost:
        raise InputError(f"{target.branch} no longer contains the release {target.lost}")
    files = (
        (config.pointer, restored.pointer),
        (config.manifest, render_manifest(restored.manifest)),
    )
    return PlannedCommit(
        parent=target.commit,
        files=files,
        message=_render_message(config.name, leaving, to, reason),
        manifest=restored.manifest,
    )


def find_release(model: str, target: Target, version: str) -> Carried:
    """Return a release by its version; InputError names those there are."""
    for tagged in target.tagged:
        if tagged.manifest.version == version:
            return tagged
    known = ", ".join(tagged.manifest.version for tagged in target.tagged) or "none"
    raise InputError(f"{model} has no release {version[:40]}", hint=f"releases: {known}")


def find_previous(model: str, target: Target) -> str:
    """Return the version that the current release replaced; InputError when there is none."""
    if target.carried is None:
        raise InputError(f"{model} has no release on {target.branch} yet")
    previous = target.carried.manifest.previous
    if not previous:
        raise InputError(
            f"{model} {target.carried.manifest.version} is its first release: nothing is earlier",
            hint=f"to go elsewhere, run: gitops rollback {model} --to VERSION",
        )
    return previous


def compare_rows(scores: Scores, answers: Sequence[object]) -> Parity:
    """Compare the server's answers with the gate's predictions, in the same order.

    Raises RefusedError naming the worst row when they are not the same predictions.
    """
    if len(answers) != len(scores.ids) or not answers:
        raise RefusedError(f"the server answered {len(answers)} of {len(scores.ids)} held-out rows")
    expected = [_expected_values(each, scores.classes) for each in scores.predictions]
    found = [_answered_values(answer, scores.classes) for answer in answers]
    sizes = [abs(value) for row in expected for value in row]
    typical = sum(sizes) / len(sizes)
    pairs = zip(expected, found, strict=True)
    differences = [_row_difference(mine, theirs, typical) for mine, theirs in pairs]
    place = max(range(len(differences)), key=differences.__getitem__)
    parity = Parity(rows=len(answers), worst=differences[place], worst_id=scores.ids[place])
    if not parity.worst <= TOLERANCE:
        raise RefusedError(
            f"the server does not predict what the gate saw: row {parity.worst_id[:80]!r} is "
            f"{_render_answer(answers[place])} instead of {_render_values(expected[place])}",
            hint="the model that served before still serves; compare the two environments",
        )
    return parity


def _expected_values(prediction: Prediction | None, classes: Sequence[str]) -> tuple[float, ...]:
    """Return a prediction as numbers, one for a regression and one a class otherwise."""
    width = len(classes) or 1
    values = prediction if isinstance(prediction, tuple) else (prediction,)
    known = tuple(math.nan if value is None else value for value in values)
    return known if len(known) == width else (math.nan,) * width


def _answered_values(answer: object, classes: Sequence[str]) -> tuple[object, ...]:
    """Return what a server answered for a row in the same form; None where it is something else."""
    if not classes:
        return (answer,)
    nothing = (None,) * len(classes)
    found = answer.get("probabilities") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(found, dict) or set(found) != set(classes):
        return nothing
    values = tuple(found[name] for name in classes)
    return values if _is_most_probable(answer.get("label"), found) else nothing


def _is_most_probable(label: object, probabilities: Mapping[str, object]) -> bool:
    """Tell whether the label that clients act on is the one that the probabilities say."""
    numbers = {name: p for name, p in probabilities.items() if isinstance(p, int | float)}
    return isinstance(label, str) and numbers.get(label) == max(numbers.values(), default=None)


def _row_difference(
    expected: tuple[float, ...], found: tuple[object, ...], typical: float
) -> float:
    pairs = zip(expected, found, strict=True)
    return max(_difference(mine, theirs, typical) for mine, theirs in pairs)


def _render_answer(answer: object) -> str:
    return str(answer)[:40] if not isinstance(answer, dict) else json.dumps(answer)[:200]


def _render_values(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values[:10])


def _difference(expected: float, answer: object, typical: float) -> float:
    """Return the share by which an answer is off; infinite for what is not a number."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return math.inf
    if not (math.isfinite(expected) and math.isfinite(answer)):
        return math.inf
    gap = abs(expected - answer)
    return gap / max(abs(expected), typical) if gap else 0.0


def _render_message(model: str, leaving: str, to: str, reason: str) -> str:
    why = one_line(reason) or "No reason was given."
    trailers = f"Rollback-From: {model}@{leaving}\nRollback-To: {model}@{to}\n"
    return f"Roll {model} back to {to}\n\n{why}\n\n{trailers}"
