"""A model is written as a bundle that proves itself; a bundle that was touched is refused."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures

from gitops.errors import InputError
from gitops.serving.bundle import make_digest, read_bundle, write_bundle
from gitops.serving.predictor import Predictor
from gitops.serving.signature import FieldType, make_signature, parse_signature, signature_to_json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def cars() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    weight = draw.integers(1800, 4800, size=150)
    power = np.where(draw.random(150) < 0.1, np.nan, weight / 30.0)
    maker = draw.choice(["audi", "ford", "mazda"], size=150)
    return pd.DataFrame({"wght": weight, "hp": power, "maker": maker})


def mpg(cars: pd.DataFrame) -> pd.Series:
    return 50 - cars["wght"] / 120 + (cars["maker"] == "audi") * 2


def linear(cars: pd.DataFrame) -> Pipeline:
    words = ColumnTransformer(
        [("maker", OneHotEncoder(handle_unknown="ignore"), ["maker"])], remainder="passthrough"
    )
    return make_pipeline(words, LinearRegression()).fit(cars[["wght", "maker"]], mpg(cars))


def boosted(cars: pd.DataFrame) -> tuple[xgboost.XGBRegressor, pd.DataFrame]:
    inputs = cars.astype({"maker": "category"})
    model = xgboost.XGBRegressor(n_estimators=20, enable_categorical=True, random_state=1)
    return model.fit(inputs, mpg(cars)), inputs


@pytest.fixture
def bundle(tmp_path: Path, cars: pd.DataFrame) -> Path:
    model, inputs = boosted(cars)
    return write_bundle(tmp_path / "b", model=model, inputs=inputs, target="mpg")


def test_a_booster_predicts_from_its_bundle_what_it_predicts_in_memory(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    model, inputs = boosted(cars)
    predictor = Predictor.load(
        write_bundle(tmp_path, model=model, inputs=inputs, target="mpg", metrics={"rmse": 0.5})
    )
    rows = cars.astype(object).where(cars.notna(), None).to_dict("records")
    np.testing.assert_array_equal(predictor.predict(rows), model.predict(inputs).astype(float))
    assert predictor.bundle.metrics == {"rmse": 0.5}
    assert [field.missing for field in predictor.signature.inputs] == [False, True, False]


def test_a_pipeline_predicts_from_its_bundle_what_it_predicts_in_memory(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    model, inputs = linear(cars), cars[["wght", "maker"]]
    predictor = Predictor.load(write_bundle(tmp_path, model=model, inputs=inputs, target="mpg"))
    np.testing.assert_allclose(predictor.predict(inputs.to_dict("records")), model.predict(inputs))


def test_a_model_that_stopped_early_is_stored_at_its_best_iteration(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    inputs, target = cars[["wght"]], mpg(cars)
    noise = target + np.random.default_rng(0).normal(0, 8, len(target))
    model = xgboost.XGBRegressor(n_estimators=200, learning_rate=0.9, early_stopping_rounds=2)
    model.fit(inputs, noise, eval_set=[(inputs, target)], verbose=False)
    bundle = write_bundle(tmp_path, model=model, inputs=inputs, target="mpg")
    found = Predictor.load(bundle).predict(inputs.to_dict("records"))
    np.testing.assert_allclose(found, model.predict(inputs), rtol=1e-6)


def test_the_same_training_gives_the_same_digest(tmp_path: Path, cars: pd.DataFrame) -> None:
    inputs = cars[["wght", "maker"]]
    paths = [
        write_bundle(tmp_path / name, model=linear(cars), inputs=inputs, target="mpg")
        for name in ("one", "two")
    ]
    assert make_digest(paths[0]) == make_digest(paths[1]) == read_bundle(paths[0]).digest


def test_a_bundle_replaces_an_earlier_one_of_the_other_format(bundle: Path) -> None:
    frame = pd.DataFrame({"wght": [1.0, 2.0, 3.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0, 3.0])
    write_bundle(bundle, model=model, inputs=frame, target="mpg")
    assert sorted(path.name for path in bundle.iterdir()) == ["bundle.json", "model.skops"]


def test_a_model_that_needs_pickle_is_refused(tmp_path: Path, cars: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="without pickle") as caught:
        write_bundle(tmp_path, model=object(), inputs=cars, target="mpg")
    assert "XGBoost" in caught.value.hint


def double(values: pd.DataFrame) -> pd.DataFrame:
    return values * 2


def test_a_pipeline_with_its_own_code_is_refused_by_name(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    inputs = cars[["wght"]]
    model = make_pipeline(FunctionTransformer(double), LinearRegression()).fit(inputs, mpg(cars))
    with pytest.raises(InputError, match=r"not trusted: .*double"):
        write_bundle(tmp_path, model=model, inputs=inputs, target="mpg")


def test_a_stored_pipeline_with_its_own_code_is_not_loaded(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    import hashlib

    import skops.io

    inputs = cars[["wght"]]
    plain = LinearRegression().fit(inputs, mpg(cars))
    path = write_bundle(tmp_path, model=plain, inputs=inputs, target="mpg")
    evil = make_pipeline(FunctionTransformer(double), LinearRegression()).fit(inputs, mpg(cars))
    payload = skops.io.dumps(evil)
    (path / "model.skops").write_bytes(payload)
    document = json.loads((path / "bundle.json").read_text())
    document["model"] |= {"sha256": hashlib.sha256(payload).hexdigest(), "size": len(payload)}
    (path / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"not trusted: .*double"):
        Predictor.load(path)


def test_inputs_that_are_not_those_of_the_training_are_refused(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    model, inputs = boosted(cars)
    with pytest.raises(InputError, match="the booster takes wght, hp, maker"):
        write_bundle(tmp_path, model=model, inputs=inputs[["hp", "wght", "maker"]], target="mpg")


def test_a_sentinel_for_missing_values_is_refused(tmp_path: Path, cars: pd.DataFrame) -> None:
    inputs = cars[["wght"]]
    model = xgboost.XGBRegressor(n_estimators=2, missing=-999.0).fit(inputs, mpg(cars))
    with pytest.raises(InputError, match=r"takes -999.0 for a missing value"):
        write_bundle(tmp_path, model=model, inputs=inputs, target="mpg")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_training_metrics_must_be_finite(tmp_path: Path, cars: pd.DataFrame, bad: float) -> None:
    model, inputs = boosted(cars)
    with pytest.raises(InputError, match="not finite: rmse"):
        write_bundle(tmp_path, model=model, inputs=inputs, target="mpg", metrics={"rmse": bad})


def test_a_folder_with_other_files_is_not_overwritten(tmp_path: Path, cars: pd.DataFrame) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    model, inputs = boosted(cars)
    with pytest.raises(InputError, match=r"holds other files: notes.txt"):
        write_bundle(tmp_path, model=model, inputs=inputs, target="mpg")


def test_an_altered_model_is_refused(bundle: Path) -> None:
    content = bytearray((bundle / "model.ubj").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.ubj").write_bytes(content)
    with pytest.raises(InputError, match="not the one that the bundle describes"):
        read_bundle(bundle)


def test_a_model_longer_than_declared_is_refused(bundle: Path) -> None:
    with (bundle / "model.ubj").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputError, match="larger than"):
        read_bundle(bundle)


def test_a_truncated_model_is_refused(bundle: Path) -> None:
    content = (bundle / "model.ubj").read_bytes()
    (bundle / "model.ubj").write_bytes(content[:-1])
    with pytest.raises(InputError, match="not the one that the bundle describes"):
        read_bundle(bundle)


def test_an_extra_file_is_refused_by_name(bundle: Path) -> None:
    (bundle / "model.pkl").write_bytes(b"\x80")
    with pytest.raises(InputError, match=r"no place for model.pkl"):
        read_bundle(bundle)


def test_a_symlink_in_a_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.ubj"
    (bundle / "model.ubj").rename(real)
    (bundle / "model.ubj").symlink_to(real)
    with pytest.raises(InputError, match=r"not a plain file: model.ubj"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("format",), "pickle"),
        (("model", "file"), "../model.ubj"),
        (("model", "sha256"), "short"),
        (("signature", "inputs"), []),
        (("signature", "task"), "magic"),
        (("surprise",), 1),
    ],
)
def test_a_document_outside_the_schema_is_refused(
    bundle: Path, path: tuple[str, ...], value: object
) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (bundle / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"bundle\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": NaN}', b"\xff\xfe"])
def test_a_document_that_is_not_json_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / "bundle.json").write_bytes(content)
    with pytest.raises(InputError, match=r"bundle\.json"):
        read_bundle(bundle)


def test_a_signature_survives_its_json(cars: pd.DataFrame) -> None:
    columns: dict[str, list[object]] = {"wght": [1, 2.5, None], "maker": ["b", None, "a"]}
    signature = make_signature(columns, target="mpg", unseen=("maker",))
    again = parse_signature(json.loads(json.dumps(signature_to_json(signature))))
    assert again == signature
    assert [field.type for field in again.inputs] == [FieldType.NUMBER, FieldType.CATEGORY]
    assert again.inputs[1].categories == ("a", "b")
    assert (again.inputs[0].low, again.inputs[0].high) == (1.0, 2.5)


@pytest.mark.parametrize("values", [[True, False], [1, "a"], [[1], [2]], [1.0, math.inf]])
def test_a_column_of_neither_numbers_nor_words_is_refused_by_name(values: list[object]) -> None:
    with pytest.raises(InputError, match="input `odd`"):
        make_signature({"odd": values}, target="y")


def test_polynomial_features_need_no_trust_beyond_the_defaults(
    tmp_path: Path, cars: pd.DataFrame
) -> None:
    inputs = cars[["wght"]]
    model = make_pipeline(PolynomialFeatures(2), LinearRegression()).fit(inputs, mpg(cars))
    bundle = read_bundle(write_bundle(tmp_path, model=model, inputs=inputs, target="mpg"))
    assert bundle.signature.names == ("wght",)
