"""Forests of scikit-learn are stored, and a file whose trees lead astray is not loaded."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from gitops.errors import InputError
from gitops.serving.bundle import make_digest, write_bundle
from gitops.serving.predictor import Predictor
from tests.classifiers import birds, codes, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

INPUTS = birds()[["length", "mass"]]


def forest() -> Any:
    model = RandomForestClassifier(n_estimators=3, max_depth=3, random_state=1, n_jobs=2)
    return make_pipeline(SimpleImputer(), model).fit(INPUTS, codes(3))


def write_forest(folder: Path) -> Path:
    return write_bundle(folder, model=forest(), inputs=INPUTS, target="y", task="multiclass")


def test_a_forest_predicts_from_its_bundle_what_it_predicts_in_memory(tmp_path: Path) -> None:
    found = Predictor.load(write_forest(tmp_path)).predict(rows())
    np.testing.assert_allclose(found, forest().predict_proba(INPUTS))


def test_the_same_forest_gives_the_same_bytes(tmp_path: Path) -> None:
    assert make_digest(write_forest(tmp_path / "a")) == make_digest(write_forest(tmp_path / "b"))


@pytest.mark.parametrize(
    ("model", "task"),
    [
        (RandomForestRegressor(n_estimators=3), "regression"),
        (ExtraTreesRegressor(n_estimators=3), "regression"),
        (DecisionTreeClassifier(max_depth=3), "binary"),
    ],
)
def test_trees_are_stored_without_a_pipeline_too(tmp_path: Path, model: Any, task: str) -> None:
    filled = INPUTS.fillna(0.0)
    model.fit(filled, codes(2))
    bundle = write_bundle(tmp_path, model=model, inputs=filled, target="y", task=task)
    assert len(Predictor.load(bundle).predict(filled.to_dict("records"))) == 240


@pytest.mark.parametrize(
    ("model", "task"),
    [
        (GradientBoostingRegressor(n_estimators=2), "regression"),
        (AdaBoostClassifier(n_estimators=2), "binary"),
    ],
)
def test_trees_that_cannot_be_checked_are_refused(tmp_path: Path, model: Any, task: str) -> None:
    filled = INPUTS.fillna(0.0)
    model.fit(filled, codes(2))
    with pytest.raises(InputError, match="can be checked") as caught:
        write_bundle(tmp_path, model=model, inputs=filled, target="y", task=task)
    assert "RandomForest" in caught.value.hint


def craft(folder: Path, change: Callable[[NDArray[Any]], None]) -> None:
    """Rewrite the first tree of a stored forest, with hashes that fit."""
    path, document_path = folder / "model.skops", folder / "bundle.json"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, content in files.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content))
            if array.dtype.names and "left_child" in array.dtype.names:
                change(array)
                written = io.BytesIO()
                np.save(written, array)
                files[name] = written.getvalue()
                break
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    payload = path.read_bytes()
    document = json.loads(document_path.read_text())
    document["model"] |= {"sha256": hashlib.sha256(payload).hexdigest(), "size": len(payload)}
    document_path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left_child", 10**9),
        ("right_child", 10**9),
        ("left_child", 0),
        ("right_child", -5),
        ("feature", 10**6),
        ("feature", 2),
        ("feature", -7),
    ],
)
def test_a_crafted_tree_is_not_loaded(tmp_path: Path, field: str, value: int) -> None:
    def change(nodes: NDArray[Any]) -> None:
        nodes[field][0] = value

    write_forest(tmp_path)
    craft(tmp_path, change)
    with pytest.raises(InputError, match="leads out of its own nodes or inputs"):
        Predictor.load(tmp_path)


def test_a_crafted_file_that_changes_nothing_still_loads(tmp_path: Path) -> None:
    write_forest(tmp_path)
    craft(tmp_path, lambda nodes: None)
    assert Predictor.load(tmp_path).classes == ("0", "1", "2")
