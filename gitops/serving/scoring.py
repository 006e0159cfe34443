"""A bundle and held-out rows without their target go in; `Scores`, one entry a row, come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters.documents import parse_json
from gitops.errors import InputError
from gitops.run import Prediction, Problem, ProblemKind, Scores
from gitops.serving.bundle import make_digest
from gitops.serving.outputs import ModelError, is_usable
from gitops.serving.predictor import Predictor
from gitops.serving.rows import EncodedRow, RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops.serving.signature import Signature

_Predictions = tuple[Prediction | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutRow:
    """One held-out row: its id, and its raw columns without the target."""

    id: str
    row: Mapping[str, object]


def score_holdout(
    bundle_directory: str | Path, holdout_file: str | Path, *, target: str, holdout_key: str
) -> Scores:
    """Predict every held-out row with the predictor that will be served.

    Whatever is wrong with the bundle is a `Problem` in the scores, for the gate to judge.

    Args:
        bundle_directory: folder of the bundle.
        holdout_file: JSON lines of ``{"id", "row"}``, rows without the target.
        target: the target column, which no model may ask for.
        holdout_key: key of the held-out rows, kept with the scores.

    Raises:
        InputError: the holdout file itself is wrong.
    """
    rows = read_holdout(holdout_file, target=target)
    ids = tuple(each.id for each in rows)
    digest = ""
    predictions: _Predictions = (None,) * len(ids)
    classes: tuple[str, ...] = ()
    problem: Problem | None = None
    try:
        digest = make_digest(bundle_directory)
        predictor = Predictor.load(bundle_directory)
        digest, classes = predictor.bundle.digest, predictor.classes
    except InputError as error:
        problem = Problem(kind=ProblemKind.UNREADABLE, message=str(error))
    else:
        predictions, problem = _score(predictor, [each.row for each in rows], target)
    return Scores(
        bundle=digest,
        holdout=holdout_key,
        ids=ids,
        predictions=predictions,
        problem=problem,
        classes=classes,
    )


def read_holdout(path: str | Path, *, target: str) -> tuple[HoldoutRow, ...]:
    """Read held-out rows; raise InputError for an odd line, an id twice or a leaked target."""
    where = str(path)
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the held-out rows cannot be read: {error}", where=where) from error
    rows = tuple(_parse_line(line, f"{where}:{n}", target) for n, line in enumerate(lines, 1))
    if not rows or len({each.id for each in rows}) < len(rows):
        raise InputError("the held-out rows are empty, or an id appears twice", where=where)
    return rows


def _parse_line(line: str, where: str, target: str) -> HoldoutRow:
    body = parse_json(line, where)
    if not isinstance(body, dict) or set(body) != {"id", "row"}:
        raise InputError("a held-out row is an object of `id` and `row`", where=where)
    if not isinstance(body["id"], str) or not isinstance(body["row"], dict):
        raise InputError("`id` must be text and `row` an object", where=where)
    if target in body["row"]:
        raise InputError(f"a held-out row carries the target `{target}`", where=where)
    return HoldoutRow(id=body["id"], row=body["row"])


def _score(
    predictor: Predictor, rows: Sequence[Mapping[str, object]], target: str
) -> tuple[_Predictions, Problem | None]:
    problem = _judge_columns(predictor.signature, rows, target)
    if problem is not None:
        return (None,) * len(rows), problem
    encoded, refused = _encode(predictor, rows)
    try:
        found = predictor.predict_encoded([row for row in encoded if row is not None])
    except ModelError as error:
        return (None,) * len(rows), Problem(kind=ProblemKind.CRASHED, message=str(error))
    predictions = _spread(encoded, found)
    return predictions, refused or _judge_finite(predictions)


def _judge_columns(
    signature: Signature, rows: Iterable[Mapping[str, object]], target: str
) -> Problem | None:
    """Tell whether the model asks for what no request has: the answer, or made-up columns."""
    if target in signature.names:
        return Problem(
            kind=ProblemKind.NEEDS_TARGET,
            message=f"the model needs the target column `{target}` as an input",
            columns=(target,),
        )
    raw = {name for row in rows for name in row}
    unknown = tuple(name for name in signature.names if name not in raw)
    if unknown:
        return Problem(
            kind=ProblemKind.NEEDS_UNKNOWN_COLUMN,
            message=f"the model needs columns that raw rows do not have: {', '.join(unknown)}",
            columns=unknown,
        )
    return None


def _encode(
    predictor: Predictor, rows: Sequence[Mapping[str, object]]
) -> tuple[list[EncodedRow | None], Problem | None]:
    errors: list[RowError] = []
    encoded = [_encode_or_note(predictor, row, i, errors) for i, row in enumerate(rows)]
    if not errors:
        return encoded, None
    columns = tuple(sorted({error.field for error in errors}))
    first = errors[0]
    return encoded, Problem(
        kind=ProblemKind.REFUSED_ROWS,
        message=(
            f"{len(errors)} of {len(rows)} rows were refused; the first: row {first.row}, "
            f"field `{first.field}` {first.message}"
        ),
        columns=columns,
    )


def _encode_or_note(
    predictor: Predictor, row: Mapping[str, object], index: int, errors: list[RowError]
) -> EncodedRow | None:
    try:
        return predictor.encode(row, index)
    except RowError as error:
        errors.append(error)
        return None


def _spread(encoded: Iterable[EncodedRow | None], found: Iterable[Prediction]) -> _Predictions:
    """Put predictions beside their rows; None for a refused row and for what is not finite."""
    values = iter(found)
    spread = [None if row is None else next(values) for row in encoded]
    return tuple(each if each is not None and is_usable(each) else None for each in spread)


def _judge_finite(predictions: _Predictions) -> Problem | None:
    odd = predictions.count(None)
    if not odd:
        return None
    message = f"the model gave no finite number for {odd} of {len(predictions)} rows"
    return Problem(kind=ProblemKind.CRASHED, message=message)
