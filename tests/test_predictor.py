"""Rows are judged before a model sees them; whatever is wrong with a bundle becomes a problem."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from gitops.errors import InputError
from gitops.run import ProblemKind
from gitops.serving.bundle import write_bundle
from gitops.serving.predictor import Identity, Predictor, parse_identity
from gitops.serving.protocol import RequestError, parse_body, parse_v1, parse_v2
from gitops.serving.rows import LARGEST, RowError, make_encoder
from gitops.serving.scoring import score_holdout
from gitops.serving.signature import Field, FieldType, Signature

if TYPE_CHECKING:
    from pathlib import Path

CARS = Signature(
    inputs=(
        Field(name="wght", type=FieldType.NUMBER),
        Field(name="hp", type=FieldType.NUMBER, missing=True),
        Field(name="maker", type=FieldType.CATEGORY, categories=("audi", "ford")),
        Field(name="colour", type=FieldType.CATEGORY, categories=("red",), missing=True),
        Field(name="name", type=FieldType.CATEGORY, categories=("a",), unseen=True),
    ),
    target="mpg",
)
AUDI: dict[str, object] = {
    "wght": 2448,
    "hp": None,
    "maker": "audi",
    "colour": "red",
    "name": "a",
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS)


def test_a_good_row_is_encoded_with_codes_for_words() -> None:
    assert make_encoder(CARS, codes=True)(AUDI, 0)[2:] == [0.0, 0.0, 0.0]
    assert make_encoder(CARS, codes=False)(AUDI, 0)[2:] == ["audi", "red", "a"]


def test_columns_that_the_model_does_not_use_are_ignored() -> None:
    assert make_encoder(CARS, codes=True)(AUDI | {"year": object()}, 0)[0] == 2448.0


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"wght": True}, "wght", "must be a number, not bool"),
        ({"wght": "2448"}, "wght", "must be a number, not str"),
        ({"wght": math.nan}, "wght", "must be a finite number"),
        ({"wght": math.inf}, "wght", "must be a finite number"),
        ({"wght": 10**400}, "wght", "must be a finite number"),
        ({"wght": None}, "wght", "is null, and training never saw it missing"),
        ({"maker": None}, "maker", "is null, and training never saw it missing"),
        ({"maker": "tesla"}, "maker", "is a category that training never saw"),
        ({"maker": True}, "maker", "must be one of its categories"),
        ({"maker": 1.5}, "maker", "must be one of its categories"),
    ],
)
def test_a_wrong_value_is_refused_with_field_and_row(
    change: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(RowError, match=message) as caught:
        make_encoder(CARS, codes=True)(AUDI | change, 7)
    assert (caught.value.field, caught.value.row) == (field, 7)


def test_a_missing_field_is_refused_even_where_null_is_allowed() -> None:
    row = {name: value for name, value in AUDI.items() if name != "hp"}
    with pytest.raises(RowError, match="is not there; send null"):
        make_encoder(CARS, codes=True)(row, 0)


def test_an_unseen_word_counts_as_missing_where_the_signature_allows_either() -> None:
    row = AUDI | {"colour": "blue", "name": "zz"}
    assert np.isnan(make_encoder(CARS, codes=True)(row, 0)[3:]).all()
    assert make_encoder(CARS, codes=False)(row, 0)[4] == "zz"


@given(st.dictionaries(st.sampled_from(CARS.names), VALUES) | st.just({}), st.booleans())
def test_any_row_is_encoded_as_the_right_types_or_refused_by_field(
    change: dict[str, object], codes: bool
) -> None:
    row = AUDI | change
    try:
        encoded = make_encoder(CARS, codes=codes)(row, 3)
    except RowError as error:
        named = error.field
    else:
        named = ""
    if named:
        assert named in change
        return
    for name, value in zip(CARS.names, encoded, strict=True):
        given_value = row[name]
        assert not isinstance(given_value, bool | list | dict)
        if isinstance(value, float) and not math.isnan(value):
            assert abs(value) <= LARGEST
        if name in ("wght", "hp") and given_value is not None:
            assert value == given_value


@given(
    st.binary(max_size=40)
    | st.recursive(SCALARS, lambda x: st.lists(x, max_size=3)).map(
        lambda value: json.dumps({"instances": value, "inputs": value}).encode()
    )
)
def test_any_body_becomes_rows_or_a_request_error(body: bytes) -> None:
    for parse in (parse_v1, parse_v2):
        with suppress(RequestError):
            rows = parse(parse_body(body), ("a", "b"))
            assert all(isinstance(row, dict) for row in rows)


@given(st.lists(st.floats(allow_infinity=False), min_size=2, max_size=12))
def test_nan_in_a_tensor_is_a_missing_value(values: list[float]) -> None:
    values = values[: len(values) // 2 * 2]
    tensor = {"name": "x", "shape": [len(values) // 2, 2], "datatype": "FP64", "data": values}
    rows = parse_v2(parse_body(json.dumps({"inputs": [tensor]}).encode()), ("a", "b"))
    found = [value for row in rows for value in row.values()]
    assert found == [None if math.isnan(value) else value for value in values]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({"shape": [2]}, "holds 1 values, its shape says 2"),
        ({"shape": [1, 1, 1]}, "one or two dimensions"),
        ({"shape": [-1]}, "one or two dimensions"),
        ({"datatype": "FP128"}, "no known `datatype`"),
        ({"data": "x"}, "and `data`"),
        ({"name": 1}, "needs `name`"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(
    tensor: dict[str, object], message: str
) -> None:
    whole = {"name": "a", "shape": [1], "datatype": "FP64", "data": [1.0]} | tensor
    with pytest.raises(RequestError, match=message):
        parse_v2({"inputs": [whole]}, ("a", "b"))


def test_tensors_of_different_lengths_are_refused() -> None:
    tensors = [
        {"name": name, "shape": [size], "datatype": "FP64", "data": [1.0] * size}
        for name, size in (("a", 1), ("b", 2))
    ]
    with pytest.raises(RequestError, match="one value for each of the rows"):
        parse_v2({"inputs": tensors}, ("a", "b"))


@pytest.fixture
def line(tmp_path: Path) -> Path:
    inputs = pd.DataFrame({"wght": [1000.0, 2000.0, 3000.0]})
    model = LinearRegression().fit(inputs, [40.0, 30.0, 20.0])
    return write_bundle(tmp_path / "line", model=model, inputs=inputs, target="mpg")


@pytest.mark.parametrize("row", [[1], "wght", None, 3])
def test_a_row_that_is_no_object_is_refused(line: Path, row: Any) -> None:
    with pytest.raises(RowError, match="must be an object"):
        Predictor.load(line).predict([row])


def test_no_rows_give_no_predictions(line: Path) -> None:
    assert Predictor.load(line).predict([]) == []


def test_an_identity_of_other_bytes_is_refused(line: Path) -> None:
    with pytest.raises(InputError, match="the identity names the bundle sha256:0"):
        Predictor.load(line, Identity(model="fuel", bundle="sha256:0"))


@pytest.mark.parametrize(
    "document", [[], {}, {"model": 1}, {"model": "a\r\nx: y"}, {"model": "a", "more": "b"}]
)
def test_an_odd_identity_is_refused(document: object) -> None:
    with pytest.raises(InputError):
        parse_identity(document)


def write_holdout(path: Path, *rows: dict[str, object]) -> Path:
    lines = [json.dumps({"id": f"r{n}", "row": row}) for n, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_held_out_row_gets_its_prediction(line: Path, tmp_path: Path) -> None:
    holdout = write_holdout(tmp_path / "h", {"wght": 1500, "name": "x"}, {"wght": 2500, "name": ""})
    scores = score_holdout(line, holdout, target="mpg", holdout_key="k")
    assert (scores.ids, scores.holdout, scores.problem) == (("r0", "r1"), "k", None)
    assert scores.predictions == pytest.approx((35.0, 25.0))


def test_a_model_that_needs_the_target_is_named(tmp_path: Path) -> None:
    inputs = pd.DataFrame({"mpg": [1.0, 2.0, 3.0]})
    model = LinearRegression().fit(inputs, [1.0, 2.0, 3.0])
    bundle = write_bundle(tmp_path / "b", model=model, inputs=inputs, target="mpg")
    holdout = write_holdout(tmp_path / "h", {"wght": 1})
    scores = score_holdout(bundle, holdout, target="mpg", holdout_key="k")
    assert scores.problem is not None
    assert (scores.problem.kind, scores.problem.columns) == (ProblemKind.NEEDS_TARGET, ("mpg",))
    assert scores.predictions == (None,)


def test_a_model_that_needs_a_made_up_column_is_named(line: Path, tmp_path: Path) -> None:
    holdout = write_holdout(tmp_path / "h", {"hp": 1})
    problem = score_holdout(line, holdout, target="mpg", holdout_key="k").problem
    assert problem is not None
    assert (problem.kind, problem.columns) == (ProblemKind.NEEDS_UNKNOWN_COLUMN, ("wght",))


def test_refused_rows_are_counted_and_the_others_predicted(line: Path, tmp_path: Path) -> None:
    holdout = write_holdout(tmp_path / "h", {"wght": 1500}, {"wght": None}, {"wght": "heavy"})
    scores = score_holdout(line, holdout, target="mpg", holdout_key="k")
    assert scores.predictions[1:] == (None, None)
    assert scores.predictions[0] == pytest.approx(35.0)
    assert scores.problem is not None
    assert scores.problem.kind is ProblemKind.REFUSED_ROWS
    assert scores.problem.message.startswith("2 of 3 rows were refused; the first: row 1, field")


def test_a_bundle_that_cannot_be_read_is_a_problem_not_an_error(tmp_path: Path) -> None:
    holdout = write_holdout(tmp_path / "h", {"wght": 1500})
    scores = score_holdout(tmp_path / "none", holdout, target="mpg", holdout_key="k")
    assert scores.problem is not None
    assert scores.problem.kind is ProblemKind.UNREADABLE
    assert scores.predictions == (None,)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_prediction_that_is_not_finite_is_a_problem(tmp_path: Path) -> None:
    inputs = pd.DataFrame({"wght": [0.0, 1.0]})
    model = LinearRegression().fit(inputs, [0.0, 1.0])
    model.coef_ = np.array([1e300])
    bundle = write_bundle(tmp_path / "b", model=model, inputs=inputs, target="mpg")
    holdout = write_holdout(tmp_path / "h", {"wght": 1.0}, {"wght": 1e30})
    scores = score_holdout(bundle, holdout, target="mpg", holdout_key="k")
    assert scores.problem is not None
    assert scores.problem.kind is ProblemKind.CRASHED
    assert scores.predictions[1] is None


@pytest.mark.parametrize(
    "content",
    ["", "{}\n", '{"id": "a", "row": {"mpg": 1}}\n', '{"id": "a", "row": {}}\n' * 2, "NaN\n"],
)
def test_odd_held_out_rows_are_an_error(line: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "h").write_text(content)
    with pytest.raises(InputError):
        score_holdout(line, tmp_path / "h", target="mpg", holdout_key="k")


def test_one_row_and_many_rows_give_the_same_predictions(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    inputs = pd.DataFrame(draw.normal(size=(200, 3)), columns=["a", "b", "c"])
    model = xgboost.XGBRegressor(n_estimators=20).fit(inputs, inputs["a"] * 2)
    predictor = Predictor.load(write_bundle(tmp_path, model=model, inputs=inputs, target="y"))
    rows = inputs.to_dict("records")
    assert predictor.predict(rows) == [predictor.predict([row])[0] for row in rows]
