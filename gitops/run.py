"""What a run left behind, the candidate's bundle and per-row predictions, goes into `Scores` and `Run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from gitops.errors import InputError


class ProblemKind(StrEnum):
    """Why a bundle could not predict the held-out rows."""

    NEEDS_TARGET = "needs_target"
    NEEDS_UNKNOWN_COLUMN = "needs_unknown_column"
    REFUSED_ROWS = "refused_rows"
    UNREADABLE = "unreadable"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why predictions are missing, in one sentence, with the columns concerned."""

    kind: ProblemKind
    message: str
    columns: tuple[str, ...] = ()


# A number in units of the target, or the probability of each class in the order of `classes`.
Prediction = float | tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One prediction for each held-out row, by row id; None where there is none.

    Attributes:
        bundle: digest of the bundle that predicted.
        holdout: key of the held-out rows.
        ids: row ids, in the order of the holdout file.
        predictions: numbers, or probabilities of `classes`, aligned with `ids`.
        problem: why predictions are missing, or None.
        classes: the classes as text, sorted; empty for a regression.
    """

    bundle: str
    holdout: str
    ids: tuple[str, ...]
    predictions: tuple[Prediction | None, ...]
    problem: Problem | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What it takes to serve a bundle, and what it looks at; measured once, then kept.

    Attributes:
        bundle: digest of the bundle.
        split: key of the held-out rows used.
        size_bytes: size of all its files.
        load_seconds: from nothing loaded to the first prediction, library imports left out.
        p50_ms: median time of one row in the predictor, in milliseconds.
        p99_ms: 99th percentile of the same.
        inputs: what it asks for: (name, type, missing allowed) of each field.
        importance: mean absolute contribution of each input on the held-out rows, in units of the
            prediction (SHAP values for boosted trees); empty where the model has none.
    """

    bundle: str
    split: str
    size_bytes: int
    load_seconds: float
    p50_ms: float
    p99_ms: float
    inputs: tuple[tuple[str, str, bool], ...]
    importance: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run: what was done, why, and how long it took in seconds."""

    name: str
    action: str
    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The model that the target branch points to.

    Attributes:
        version: its tag, e.g. `fuel@v1.1.0`.
        commit: commit of the target branch that carries it.
        source: commit whose data and code made it.
        bundle: digest of its bundle.
        holdout: digest of the definition of its held-out rows.
    """

    version: str
    commit: str
    source: str
    bundle: str
    holdout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutRows:
    """Held-out rows of one state of the data: their key in the store, and how many."""

    key: str
    rows: int
    train_rows: int
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The result of training and scoring one model.

    Attributes:
        model: name in gitops.yaml.
        commit: commit that was run.
        base: commit it was compared with, or None for everything.
        fingerprint: digest of everything the result depends on.
        bundle: digest of the candidate's bundle, empty when training produced no readable one.
        current: held-out rows of the commit's data.
        earlier: held-out rows of the target branch's data, when the data changed.
        champion: the model in production, or None.
        champion_reason: why there is no champion.
        steps: what was done, in order.
    """

    model: str
    commit: str
    base: str | None
    fingerprint: str
    bundle: str
    current: HoldoutRows
    earlier: HoldoutRows | None
    champion: Champion | None
    champion_reason: str
    steps: tuple[Step, ...]


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Return the JSON document of scores."""
    return asdict(scores)


def scores_from_json(body: Mapping[str, Any]) -> Scores:
    """Read scores back; the document has passed its schema, which leaves the long lists to us."""
    problem = body["problem"]
    if not all(isinstance(name, str) for name in body["ids"]):
        raise InputError("a row id must be text", where="scores")
    return Scores(
        bundle=body["bundle"],
        holdout=body["holdout"],
        ids=tuple(body["ids"]),
        predictions=tuple(tuple(p) if isinstance(p, list) else p for p in body["predictions"]),
        problem=problem and _problem(problem),
        classes=tuple(body["classes"]),
    )


def _problem(body: Mapping[str, Any]) -> Problem:
    return Problem(
        kind=ProblemKind(body["kind"]), message=body["message"], columns=tuple(body["columns"])
    )


def run_to_json(run: Run) -> dict[str, Any]:
    """Return the JSON document of a run."""
    return asdict(run)


def run_from_json(body: Mapping[str, Any]) -> Run:
    """Read a run back; the document has passed its schema."""
    earlier, champion = body["earlier"], body["champion"]
    return Run(
        **{key: body[key] for key in ("model", "commit", "base", "fingerprint", "bundle")},
        current=HoldoutRows(**body["current"]),
        earlier=HoldoutRows(**earlier) if earlier else None,
        champion=Champion(**champion) if champion else None,
        champion_reason=body["champion_reason"],
        steps=tuple(Step(**step) for step in body["steps"]),
    )


def add_steps(run: Run, *steps: Step) -> Run:
    """Return the run with more steps at its end."""
    return replace(run, steps=(*run.steps, *steps))


def inspection_to_json(inspection: Inspection) -> dict[str, Any]:
    """Return the JSON document of an inspection."""
    return asdict(inspection)


def inspection_from_json(body: Mapping[str, Any]) -> Inspection:
    """Read an inspection back; the document has passed its schema."""
    pairs = {
        "inputs": tuple((name, kind, missing) for name, kind, missing in body["inputs"]),
        "importance": tuple((name, value) for name, value in body["importance"]),
    }
    return Inspection(**{**body, **pairs})
