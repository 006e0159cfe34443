"""A trained model goes in, its bytes come out; verified bytes go in, a predict function comes out.

Two formats, neither of which can run code when it is read: XGBoost's UBJSON, and skops for
scikit-learn with a fixed list of trusted types. Pickle is not among them and never will be.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from gitops.errors import GitopsError, InputError
from gitops.serving.rows import EncodedRow
from gitops.serving.signature import Field, FieldType, Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator
    from xgboost import Booster, XGBModel

    Model: TypeAlias = Booster | XGBModel | BaseEstimator

Predict = Callable[[Sequence[EncodedRow]], list[float]]

# Beyond skops' own list: describes memory, holds no code.
TRUSTED_TYPES = ("numpy.dtype",)
MAX_UNPACKED_BYTES = 1 << 30


class BundleFormat(StrEnum):
    """How the model file is written."""

    XGBOOST = "xgboost"
    SKLEARN = "sklearn"


MODEL_FILES = {BundleFormat.XGBOOST: "model.ubj", BundleFormat.SKLEARN: "model.skops"}


class ModelError(GitopsError):
    """The model itself failed on rows that fit its signature."""


def find_format(model: object) -> BundleFormat:
    """Tell how a model can be stored; raise InputError for a kind that would need pickle."""
    kinds = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    if "xgboost" in kinds:
        return BundleFormat.XGBOOST
    if "sklearn" in kinds:
        return BundleFormat.SKLEARN
    raise InputError(
        f"a {type(model).__module__}.{type(model).__qualname__} cannot be stored without pickle",
        hint="train an XGBoost model, or a scikit-learn estimator or pipeline",
    )


def make_model_bytes(model: Model, signature: Signature) -> bytes:
    """Return the bytes of a model; the same trained model gives the same bytes.

    Raises:
        InputError: the model does not fit the signature, or holds types that are not trusted.
    """
    if find_format(model) is BundleFormat.XGBOOST:
        return _make_xgboost_bytes(model, signature)
    return _make_sklearn_bytes(model, signature)


def load_model(kind: BundleFormat, payload: bytes, signature: Signature) -> Predict:
    """Turn verified bytes into a function from encoded rows to predictions.

    The function is safe to call from several threads. It raises `ModelError` when the model fails.

    Raises:
        InputError: the bytes are not a model of this format, or do not fit the signature.
    """
    if kind is BundleFormat.XGBOOST:
        return _load_xgboost(payload, signature)
    return _load_sklearn(payload, signature)


def _make_xgboost_bytes(model: Model, signature: Signature) -> bytes:
    booster = model
    if hasattr(model, "get_booster"):
        _check_missing_sentinel(model)
        booster = model.get_booster()
        # The wrapper predicts with the best iteration; the bytes must do the same.
        best = booster.attr("best_iteration")
        booster = booster if best is None else booster[: int(best) + 1]
    _check_xgboost(booster, signature)
    return bytes(booster.save_raw("ubj"))


def _check_missing_sentinel(model: Model) -> None:
    sentinel = getattr(model, "missing", math.nan)
    if sentinel is not None and not math.isnan(sentinel):
        raise InputError(
            f"the model takes {sentinel} for a missing value; requests say null",
            hint="train with missing=nan, and replace the sentinel in the data",
        )


def _check_xgboost(booster: Booster, signature: Signature) -> None:
    names = booster.feature_names or signature.names
    if tuple(names) != signature.names or booster.num_features() != len(signature.names):
        raise InputError(
            f"the booster takes {', '.join(names)}; the inputs are {', '.join(signature.names)}",
            hint="give write_bundle the very columns, in the very order, of the training",
        )
    kinds = booster.feature_types or ["c" if _is_word(each) else "q" for each in signature.inputs]
    for field, kind in zip(signature.inputs, kinds, strict=True):
        if _is_word(field) != (kind == "c"):
            raise InputError(
                f"input `{field.name}` is a {field.type} here, and was not when the booster learnt",
                hint="train on a DataFrame, words as dtype 'category', enable_categorical=True",
            )


def _is_word(field: Field) -> bool:
    return field.type is FieldType.CATEGORY


def _load_xgboost(payload: bytes, signature: Signature) -> Predict:
    import numpy as np
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(payload))
    except xgboost.core.XGBoostError as error:
        raise InputError(f"not an XGBoost model: {_first_line(error)}") from error
    _check_xgboost(booster, signature)
    # Small batches lose more to threads than they win; a server scales by processes.
    booster.set_param({"nthread": 1})

    def predict(rows: Sequence[EncodedRow]) -> list[float]:
        try:
            found = booster.inplace_predict(np.array(rows, dtype=np.float32))
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise ModelError(f"XGBoost failed: {_first_line(error)}") from error
        return _as_floats(found, len(rows))

    return predict


def _make_sklearn_bytes(model: Model, signature: Signature) -> bytes:
    import skops.io
    from sklearn.base import is_classifier

    if is_classifier(model):
        raise InputError("classifiers are not supported yet", hint="train a regressor")
    names = getattr(model, "feature_names_in_", None)
    if names is not None and tuple(names) != signature.names:
        raise InputError(
            f"the model takes {', '.join(names)}; the inputs are {', '.join(signature.names)}",
            hint="give write_bundle the DataFrame that the model was fitted on",
        )
    payload = _make_reproducible(skops.io.dumps(model))
    _check_types(payload)
    return payload


def _make_reproducible(payload: bytes) -> bytes:
    """Rewrite a skops archive without memory addresses and times: equal models, equal bytes."""
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        schema = json.loads(archive.read("schema.json"))
        files = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    schema = _renumber(schema, numbers, names)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {names[old]: files[old] for old in names}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        text = json.dumps(schema, sort_keys=False)
        archive.writestr(zipfile.ZipInfo("schema.json"), text, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _renumber(node: object, numbers: dict[int, int], names: dict[str, str]) -> object:
    """Count object ids and file names in the order of the document instead of by address."""
    if isinstance(node, list):
        return [_renumber(each, numbers, names) for each in node]
    if not isinstance(node, dict):
        return node
    fresh = {key: _renumber(value, numbers, names) for key, value in node.items()}
    match fresh.get("__id__"):
        case int(number):
            fresh["__id__"] = numbers.setdefault(number, len(numbers))
    match fresh.get("file"):
        case str(old) if "__loader__" in fresh:
            fresh["file"] = names.setdefault(old, f"{len(names)}.{old.rpartition('.')[2]}")
    return fresh


def _check_types(payload: bytes) -> None:
    import skops.io

    untrusted = sorted(set(skops.io.get_untrusted_types(data=payload)) - set(TRUSTED_TYPES))
    if untrusted:
        raise InputError(
            f"the model holds types that are not trusted: {', '.join(untrusted)}",
            hint="use scikit-learn's own transformers and linear models, or XGBoost for trees",
        )


def _check_archive(payload: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise InputError(f"the model unpacks to {unpacked:,} bytes; {MAX_UNPACKED_BYTES:,} allowed")


def _load_sklearn(payload: bytes, signature: Signature) -> Predict:
    import pandas as pd
    import skops.io

    try:
        _check_archive(payload)
        _check_types(payload)
        model = skops.io.loads(payload, trusted=list(TRUSTED_TYPES))
    except GitopsError:
        raise
    except Exception as error:
        # A file from outside can make skops fail in any way; all of them mean the same.
        raise InputError(f"not a skops model: {_first_line(error)}") from error
    kinds = {field.name: "object" if _is_word(field) else "float64" for field in signature.inputs}

    def predict(rows: Sequence[EncodedRow]) -> list[float]:
        columns = zip(kinds.items(), zip(*rows, strict=True), strict=True)
        frame = pd.DataFrame({name: pd.Series(each, dtype=kind) for (name, kind), each in columns})
        try:
            found = model.predict(frame)
        except Exception as error:
            # A pipeline runs its author's choice of steps, which may raise anything.
            raise ModelError(f"scikit-learn failed: {_first_line(error)}") from error
        return _as_floats(found, len(rows))

    return predict


def _as_floats(found: NDArray[Any], rows: int) -> list[float]:
    if found.size != rows:
        raise ModelError(f"the model gave {found.size} predictions for {rows} rows")
    values: list[float] = found.reshape(-1).astype(float).tolist()
    return values


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:300] if lines else type(error).__name__
