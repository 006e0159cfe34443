"""A bundle and held-out rows come in; what it takes to serve it, and what it looks at, goes out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gitops.errors import InputError
from gitops.run import Inspection
from gitops.serving.formats import BundleFormat
from gitops.serving.outputs import ModelError
from gitops.serving.predictor import Predictor
from gitops.serving.rows import RowError
from gitops.serving.scoring import read_holdout
from gitops.serving.xgboost_format import load_booster

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops.serving.rows import EncodedRow

WARM_UP_ROWS = 30
TIMED_ROWS = 300
EXPLAINED_ROWS = 2_000


def inspect_bundle(
    bundle_directory: str | Path, holdout_file: str | Path, *, target: str, split: str
) -> Inspection:
    """Measure a bundle with the predictor that will be served, one row at a time.

    Times are of this machine and this moment, so an inspection is made once and kept.

    Args:
        bundle_directory: folder of the bundle.
        holdout_file: JSON lines of ``{"id", "row"}``, rows without the target.
        target: the target column, which no held-out row may carry.
        split: key of the held-out rows, kept with the figures.

    Raises:
        InputError: the bundle or the held-out rows cannot be read, or no row fits the bundle.
        ModelError: the model fails on a row.
    """
    rows = [each.row for each in read_holdout(holdout_file, target=target)]
    # The first time also imports what the model needs, which a server has done at its start.
    fitting = _find_fitting(Predictor.load(bundle_directory), rows)
    _load(bundle_directory, fitting[0])
    started = time.perf_counter()
    predictor = _load(bundle_directory, fitting[0])
    load_seconds = time.perf_counter() - started
    p50, p99 = np.percentile(_time_rows(predictor, fitting), (50, 99)).tolist()
    return Inspection(
        bundle=predictor.bundle.digest,
        split=split,
        size_bytes=sum(path.stat().st_size for path in Path(bundle_directory).iterdir()),
        load_seconds=load_seconds,
        p50_ms=p50,
        p99_ms=p99,
        inputs=tuple(
            (each.name, str(each.type), each.missing) for each in predictor.signature.inputs
        ),
        importance=measure_importance(predictor, fitting[:EXPLAINED_ROWS]),
    )


def _find_fitting(
    predictor: Predictor, rows: Iterable[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """Return the rows that the signature accepts, no more than are of use."""
    fitting: list[Mapping[str, object]] = []
    for row in rows:
        if len(fitting) == EXPLAINED_ROWS:
            break
        try:
            predictor.encode(row)
        except RowError:
            continue
        fitting.append(row)
    if not fitting:
        raise InputError("no held-out row fits the bundle", where=str(predictor.bundle.directory))
    return fitting


def _load(directory: str | Path, row: Mapping[str, object]) -> Predictor:
    predictor = Predictor.load(directory)
    predictor.predict([row])
    return predictor


def _time_rows(predictor: Predictor, rows: Sequence[Mapping[str, object]]) -> list[float]:
    """Return the milliseconds of single predictions, after some that nobody counts."""
    for index in range(WARM_UP_ROWS):
        predictor.predict([rows[index % len(rows)]])
    times = []
    for row in rows[:TIMED_ROWS]:
        started = time.perf_counter()
        predictor.predict([row])
        times.append((time.perf_counter() - started) * 1000)
    return times


def measure_importance(
    predictor: Predictor, rows: Sequence[Mapping[str, object]]
) -> tuple[tuple[str, float], ...]:
    """Return the mean absolute SHAP value of each input over rows, in the order of the signature.

    It is in units of the booster's margin: of the target for a regression, of the log odds for a
    classification, where it is also the mean over classes. Empty for scikit-learn models.
    """
    if predictor.bundle.format is not BundleFormat.XGBOOST:
        return ()
    means = _explain(predictor, [predictor.encode(row) for row in rows])
    return tuple(zip(predictor.signature.names, means, strict=True))


def _explain(predictor: Predictor, encoded: Sequence[EncodedRow]) -> list[float]:
    import xgboost

    booster = load_booster(predictor.bundle.model, predictor.signature)
    matrix = xgboost.DMatrix(
        np.array(encoded, dtype=np.float32),
        feature_names=booster.feature_names,
        feature_types=booster.feature_types,
        enable_categorical=True,
    )
    found = np.abs(booster.predict(matrix, pred_contribs=True).astype(np.float64))
    # Shape (rows, inputs + bias), or (rows, classes, inputs + bias).
    means = found.reshape(-1, found.shape[-1]).mean(axis=0)[:-1]
    if not np.isfinite(means).all():
        raise ModelError("the contributions of the inputs are not finite")
    values: list[float] = means.tolist()
    return values
