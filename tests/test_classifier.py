"""A classifier is written with its classes, and predicts a probability for each of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder
from sklearn.svm import LinearSVC

from gitops.config import Task
from gitops.errors import InputError
from gitops.serving.bundle import make_digest, read_bundle, write_bundle
from gitops.serving.outputs import ModelError, is_usable, make_reader
from gitops.serving.predictor import Predictor
from gitops.serving.protocol import make_v1_values, make_v2_outputs, pick_label
from gitops.serving.scoring import score_holdout
from tests.classifiers import SPECIES, birds, boosted, codes, rows, write_holdout

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = ["length", "mass"]


def write(folder: Path, model: Any, task: str, **more: Any) -> Predictor:
    inputs = more.pop("inputs", birds()[NUMBERS])
    bundle = write_bundle(folder, model=model, inputs=inputs, target="y", task=task, **more)
    return Predictor.load(bundle)


def logistic(labels: Any) -> Any:
    model = make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500))
    return model.fit(birds()[NUMBERS], labels)


def test_two_classes_of_a_booster_are_its_codes_unless_named(tmp_path: Path) -> None:
    model, inputs = boosted(2)
    predictor = write(tmp_path, model, "binary", inputs=inputs)
    assert predictor.classes == ("0", "1")
    assert predictor.signature.task is Task.BINARY
    np.testing.assert_allclose(predictor.predict(rows()), model.predict_proba(inputs), rtol=1e-6)


def test_three_named_classes_of_a_booster(tmp_path: Path) -> None:
    model, inputs = boosted(3)
    predictor = write(tmp_path, model, "multiclass", inputs=inputs, classes=SPECIES)
    found = np.array(predictor.predict(rows()))
    assert predictor.classes == SPECIES
    np.testing.assert_allclose(found, model.predict_proba(inputs), rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


def test_probabilities_are_sorted_by_class_however_the_codes_are_named(tmp_path: Path) -> None:
    model, inputs = boosted(3)
    predictor = write(tmp_path, model, "multiclass", inputs=inputs, classes=["10", "9", "2"])
    assert predictor.classes == ("2", "9", "10")
    assert predictor.signature.classes == ("10", "9", "2")
    wanted = model.predict_proba(inputs)[:, [2, 1, 0]]
    np.testing.assert_allclose(predictor.predict(rows()), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("objective", "task", "count"),
    [("binary:logistic", "binary", 2), ("multi:softprob", "multiclass", 3)],
)
def test_a_bare_booster_knows_its_classes_by_code(
    tmp_path: Path, objective: str, task: str, count: int
) -> None:
    inputs = birds()[NUMBERS]
    matrix = xgboost.DMatrix(inputs, label=codes(count))
    settings = {"objective": objective, **({"num_class": count} if count > 2 else {})}
    booster = xgboost.train(settings, matrix, num_boost_round=3)
    predictor = write(tmp_path, booster, task)
    assert predictor.classes == tuple(str(code) for code in range(count))
    found = np.array(predictor.predict(inputs.to_dict("records")[:1]))
    assert found.shape == (1, count)


def test_a_classifier_that_stopped_early_predicts_with_its_best_iteration(tmp_path: Path) -> None:
    inputs, labels = birds()[NUMBERS], codes(3)
    model = xgboost.XGBClassifier(n_estimators=200, learning_rate=0.9, early_stopping_rounds=2)
    model.fit(inputs[:120], labels[:120], eval_set=[(inputs[120:], labels[120:])], verbose=False)
    predictor = write(tmp_path, model, "multiclass")
    plain = [{"length": row["length"], "mass": row["mass"]} for row in rows()]
    np.testing.assert_allclose(predictor.predict(plain), model.predict_proba(inputs), rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (codes(2) == 1, ("false", "true")),
        (codes(2) * 1.0, ("0", "1")),
        (np.array(["9", "10"])[codes(2)], ("9", "10")),
        (np.array(["yes", "no"])[codes(2)], ("no", "yes")),
    ],
)
def test_a_pipeline_brings_its_own_classes(
    tmp_path: Path, labels: Any, classes: tuple[str, ...]
) -> None:
    model = logistic(labels)
    predictor = write(tmp_path, model, "binary")
    assert predictor.classes == classes
    wanted = model.predict_proba(birds()[NUMBERS])
    order = [predictor.signature.classes.index(name) for name in classes]
    np.testing.assert_allclose(predictor.predict(rows()), wanted[:, order], rtol=1e-9)


def test_encoded_labels_get_their_names_back(tmp_path: Path) -> None:
    encoder = LabelEncoder().fit(["b", "a"])
    predictor = write(tmp_path, logistic(codes(2)), "binary", classes=encoder.classes_)
    assert predictor.classes == ("a", "b")


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["a", "b", "c"], "cannot have 3 classes"),
        (["a", "a"], "not distinct"),
        (["a", None], "not distinct"),
        (["1", "1.0"], "not distinct"),
        (["a", " "], "not distinct"),
        (["a"], "cannot have 1 classes"),
    ],
)
def test_classes_that_do_not_fit_the_model_are_refused(
    tmp_path: Path, classes: list[object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write(tmp_path, logistic(codes(2)), "binary", classes=classes)


def test_classes_that_contradict_what_was_learnt_are_refused(tmp_path: Path) -> None:
    model = logistic(np.array(["yes", "no"])[codes(2)])
    with pytest.raises(InputError, match="learnt the classes no, yes, not yes, no") as caught:
        write(tmp_path, model, "binary", classes=["yes", "no"])
    assert "leave `classes` out" in caught.value.hint
    model, inputs = boosted(3)
    with pytest.raises(InputError, match="learnt the classes 0, 1, 2, not a, b"):
        write(tmp_path, model, "multiclass", inputs=inputs, classes=["a", "b"])


def booster(objective: str, **settings: Any) -> Any:
    matrix = xgboost.DMatrix(birds()[NUMBERS], label=codes(2))
    return xgboost.train({"objective": objective, **settings}, matrix, num_boost_round=2)


@pytest.mark.parametrize(
    ("model", "task", "says"),
    [
        (booster("binary:logistic"), "regression", r"tells classes apart \(binary:logistic\)"),
        (logistic(codes(2)), "regression", "is a classifier"),
        (booster("reg:squarederror"), "binary", "gives no probabilities"),
        (booster("binary:hinge"), "binary", r"gives no probabilities \(binary:hinge\)"),
        (booster("multi:softmax", num_class=2), "binary", "gives no probabilities"),
        (booster("multi:softprob", num_class=3), "binary", "cannot have 3 classes"),
        (logistic(codes(3)), "binary", "cannot have 3 classes"),
        (logistic(codes(2)), "ranking", "task 'ranking' is not known"),
    ],
)
def test_a_task_that_is_not_the_models_is_refused(
    tmp_path: Path, model: Any, task: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write(tmp_path, model, task)


def test_a_model_without_probabilities_is_refused(tmp_path: Path) -> None:
    filled = birds()[NUMBERS].fillna(0.0)
    for model in (LinearRegression(), LinearSVC()):
        with pytest.raises(InputError, match=r"no probabilities|cannot have 0 classes"):
            write(tmp_path, model.fit(filled, codes(2)), "binary", inputs=filled)


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, HistGradientBoostingClassifier])
def test_boosted_trees_of_sklearn_are_refused_and_xgboost_is_named(
    tmp_path: Path, kind: Any
) -> None:
    filled = birds()[NUMBERS].fillna(0.0)
    with pytest.raises(InputError, match=r"not trusted|can be checked") as caught:
        write(tmp_path, kind().fit(filled, codes(2)), "binary", inputs=filled)
    assert "XGBoost" in caught.value.hint


@pytest.mark.parametrize(
    ("task", "classes"),
    [("binary", ["a"]), ("binary", ["a", "a"]), ("regression", ["a", "b"]), ("multiclass", [])],
)
def test_a_stored_signature_with_odd_classes_is_refused(
    tmp_path: Path, task: str, classes: list[str]
) -> None:
    write(tmp_path, logistic(codes(2)), "binary")
    document = json.loads((tmp_path / "bundle.json").read_text())
    document["signature"] |= {"task": task, "classes": classes}
    (tmp_path / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(InputError):
        read_bundle(tmp_path)


def test_a_stored_signature_with_another_task_does_not_load(tmp_path: Path) -> None:
    write(tmp_path, logistic(codes(2)), "binary")
    document = json.loads((tmp_path / "bundle.json").read_text())
    document["signature"] |= {"task": "regression", "classes": []}
    (tmp_path / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="is a classifier"):
        Predictor.load(tmp_path)


def test_a_bundle_of_a_regression_may_be_older_than_classes(tmp_path: Path) -> None:
    filled = birds()[NUMBERS].fillna(0.0)
    write(tmp_path, LinearRegression().fit(filled, codes(2)), "regression", inputs=filled)
    document = json.loads((tmp_path / "bundle.json").read_text())
    del document["signature"]["classes"]
    (tmp_path / "bundle.json").write_text(json.dumps(document))
    assert Predictor.load(tmp_path).classes == ()


def test_the_same_training_gives_the_same_classifier_byte_for_byte(tmp_path: Path) -> None:
    for name in ("one", "two"):
        model, inputs = boosted(3)
        write(tmp_path / name, model, "multiclass", inputs=inputs)
    assert make_digest(tmp_path / "one") == make_digest(tmp_path / "two")


def test_scores_carry_classes_and_a_distribution_a_row(tmp_path: Path) -> None:
    model, inputs = boosted(3)
    write(tmp_path / "b", model, "multiclass", inputs=inputs, classes=SPECIES)
    holdout = write_holdout(tmp_path / "h")
    scores = score_holdout(tmp_path / "b", holdout, target="y", holdout_key="k")
    assert (scores.problem, scores.classes) == (None, SPECIES)
    for prediction in scores.predictions:
        assert isinstance(prediction, tuple)
        assert sum(prediction) == pytest.approx(1, abs=1e-9)


def test_one_row_and_many_rows_give_the_same_probabilities(tmp_path: Path) -> None:
    model, inputs = boosted(3)
    predictor = write(tmp_path, model, "multiclass", inputs=inputs)
    assert predictor.predict(rows()) == [predictor.predict([row])[0] for row in rows()]


def test_a_constant_classifier_is_a_classifier(tmp_path: Path) -> None:
    filled = birds()[NUMBERS].fillna(0.0)
    model = DummyClassifier(strategy="prior").fit(filled, codes(2))
    predictor = write(tmp_path, model, "binary", inputs=filled)
    assert len(set(predictor.predict(filled.to_dict("records")))) == 1


# Outputs


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.2, -0.2], [np.nan, 0.5], [0.0, 0.0], [np.inf, 0.0]])
def test_what_is_no_distribution_is_no_prediction(row: list[float]) -> None:
    good, bad = make_reader(("a", "b"))(np.array([[0.25, 0.75], row]), 2)
    assert good == (0.25, 0.75)
    assert not is_usable(bad)


def test_outputs_of_another_shape_are_the_models_fault() -> None:
    for found in (np.ones((2, 2)), np.ones(3), np.ones((3, 2, 1))):
        with pytest.raises(ModelError, match="outputs of shape"):
            make_reader(("a", "b", "c"))(found, 3)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_one_output_is_the_probability_of_the_second_class(values: list[float]) -> None:
    found = make_reader(("no", "yes"))(np.array(values, dtype=np.float32), len(values))
    for value, prediction in zip(values, found, strict=True):
        assert prediction == pytest.approx((1 - value, value), abs=1e-12)


# Answers


@pytest.mark.parametrize(
    ("probabilities", "label"),
    [((0.6, 0.4), "no"), ((0.5, 0.5), "yes"), ((0.4, 0.6), "yes")],
)
def test_the_label_of_two_classes(probabilities: tuple[float, ...], label: str) -> None:
    assert pick_label(probabilities, ("no", "yes")) == label


def test_the_label_of_several_classes_is_the_first_of_the_most_probable() -> None:
    assert pick_label((0.2, 0.4, 0.4), SPECIES) == "chinstrap"


def test_v1_answers_label_and_probabilities_by_name() -> None:
    assert make_v1_values([(0.25, 0.75)], ("no", "yes")) == [
        {"label": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}
    ]
    assert make_v1_values([21.5], ()) == [21.5]


def test_v2_answers_a_tensor_of_labels_and_one_of_probabilities() -> None:
    label, probabilities = make_v2_outputs([(0.25, 0.75), (1.0, 0.0)], ("no", "yes"), "y")
    assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["yes", "no"]}
    assert probabilities["shape"] == [2, 2]
    assert probabilities["data"] == [0.25, 0.75, 1.0, 0.0]
    assert json.loads(probabilities["parameters"]["classes"]) == ["no", "yes"]
