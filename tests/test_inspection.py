"""What it takes to serve a bundle is measured once, and what it looks at is read from its trees."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LinearRegression

from gitops.adapters.documents import validate
from gitops.errors import InputError
from gitops.run import inspection_from_json, scores_from_json
from gitops.serving.bundle import make_digest, write_bundle
from gitops.serving.inspection import inspect_bundle
from tests.classifiers import SPECIES, birds, boosted, codes, write_holdout

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sha256:" + "0" * 64


def write_birds(folder: Path, classes: int = 3) -> Path:
    model, inputs = boosted(classes)
    task = "binary" if classes == 2 else "multiclass"
    return write_bundle(folder / "b", model=model, inputs=inputs, target="y", task=task)


@pytest.mark.parametrize("classes", [2, 3])
def test_an_inspection_says_size_times_inputs_and_importance(tmp_path: Path, classes: int) -> None:
    bundle = write_birds(tmp_path, classes)
    found = inspect_bundle(bundle, write_holdout(tmp_path / "h"), target="y", split=KEY)
    assert (found.bundle, found.split) == (make_digest(bundle), KEY)
    assert found.size_bytes == sum(path.stat().st_size for path in bundle.iterdir())
    assert 0 < found.p50_ms <= found.p99_ms < 1000
    assert 0 < found.load_seconds < 10
    assert found.inputs == (
        ("length", "number", True),
        ("mass", "number", False),
        ("island", "category", False),
    )
    importance = dict(found.importance)
    assert importance["mass"] > 3 * importance["length"] >= 0


def test_importance_is_the_mean_absolute_contribution_of_each_input(tmp_path: Path) -> None:
    inputs = birds()[["length", "mass"]]
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(inputs, inputs["mass"])
    bundle = write_bundle(tmp_path / "b", model=model, inputs=inputs, target="y")
    found = inspect_bundle(bundle, write_holdout(tmp_path / "h"), target="y", split=KEY)
    matrix = xgboost.DMatrix(inputs)
    wanted = np.abs(model.get_booster().predict(matrix, pred_contribs=True)).mean(axis=0)[:-1]
    assert dict(found.importance) == pytest.approx(
        dict(zip(inputs.columns, wanted.tolist(), strict=True)), rel=1e-5
    )


def test_a_linear_pipeline_has_times_and_no_importance(tmp_path: Path) -> None:
    inputs = birds()[["mass"]]
    model = LinearRegression().fit(inputs, codes(2))
    bundle = write_bundle(tmp_path / "b", model=model, inputs=inputs, target="y")
    found = inspect_bundle(bundle, write_holdout(tmp_path / "h", 5), target="y", split=KEY)
    assert found.importance == ()
    assert found.p50_ms > 0


def test_rows_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    bundle = write_birds(tmp_path)
    holdout = write_holdout(tmp_path / "h", 3)
    row = {"length": 1, "mass": None, "island": "dream"}
    with holdout.open("a") as stream:
        stream.write(json.dumps({"id": "odd", "row": row}) + "\n")
    assert inspect_bundle(bundle, holdout, target="y", split=KEY).p50_ms > 0


def test_a_bundle_that_fits_no_row_cannot_be_inspected(tmp_path: Path) -> None:
    inputs = pd.DataFrame({"other": [1.0, 2.0]})
    model = LinearRegression().fit(inputs, [1.0, 2.0])
    bundle = write_bundle(tmp_path / "b", model=model, inputs=inputs, target="y")
    with pytest.raises(InputError, match="no held-out row fits"):
        inspect_bundle(bundle, write_holdout(tmp_path / "h"), target="y", split=KEY)


def test_the_worker_answers_each_line_with_a_line(tmp_path: Path) -> None:
    bundle, holdout = write_birds(tmp_path), write_holdout(tmp_path / "h")
    place = {"bundle": str(bundle), "holdout": str(holdout), "target": "y", "key": KEY}
    requests = [{"kind": "score", **place}, {"kind": "inspect", **place}, {"kind": "sing", **place}]
    result = subprocess.run(
        [sys.executable, "-m", "gitops.serving.worker"],
        input="".join(f"{json.dumps(request)}\n" for request in (*requests, {})),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    scored, inspected, odd, empty = map(json.loads, result.stdout.splitlines())
    assert scores_from_json(scored).classes == tuple(str(code) for code in range(len(SPECIES)))
    validate("inspection", inspected, "worker")
    assert inspection_from_json(inspected).bundle == make_digest(bundle)
    assert "`score` or `inspect`" in odd["error"]["what"]
    assert "a request is an object" in empty["error"]["what"]
