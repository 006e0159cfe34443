"""A trained booster goes in, its UBJSON bytes come out; bytes go in, a predict function comes out."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from gitops.config import Task
from gitops.errors import InputError
from gitops.serving.outputs import ModelError, Predict, first_line, make_reader
from gitops.serving.signature import Field, FieldType, Signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xgboost import Booster, XGBModel

    from gitops.run import Prediction
    from gitops.serving.rows import EncodedRow

_BINARY, _SEVERAL = "binary:logistic", "multi:softprob"


def make_booster(model: Booster | XGBModel) -> Booster:
    """Return the booster of a model, cut at its best iteration where it stopped early."""
    if not hasattr(model, "get_booster"):
        return model
    _check_missing_sentinel(model)
    booster = model.get_booster()
    # The wrapper predicts with the best iteration; the bytes must do the same.
    best = booster.attr("best_iteration")
    return booster if best is None else booster[: int(best) + 1]


def make_xgboost_bytes(model: Booster | XGBModel, signature: Signature) -> bytes:
    """Return the bytes of a model; InputError when it does not fit the signature."""
    booster = make_booster(model)
    _check_booster(booster, signature)
    return bytes(booster.save_raw("ubj"))


def load_booster(payload: bytes, signature: Signature) -> Booster:
    """Read a booster; InputError when the bytes are none, or do not fit the signature."""
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(payload))
    except xgboost.core.XGBoostError as error:
        raise InputError(f"not an XGBoost model: {first_line(error)}") from error
    _check_booster(booster, signature)
    return booster


def load_xgboost(payload: bytes, signature: Signature) -> Predict:
    """Return the predict function of a stored booster."""
    import numpy as np
    import xgboost

    booster = load_booster(payload, signature)
    # Small batches lose more to threads than they win; a server scales by processes.
    booster.set_param({"nthread": 1})
    read = make_reader(signature.classes)

    def predict(rows: Sequence[EncodedRow]) -> list[Prediction]:
        try:
            found = booster.inplace_predict(np.array(rows, dtype=np.float32))
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise ModelError(f"XGBoost failed: {first_line(error)}") from error
        return read(found, len(rows))

    return predict


def count_codes(model: Booster | XGBModel) -> int:
    """Return how many classes a booster tells apart, 2 where it has one output."""
    return max(_read_objective(make_booster(model))[1], 2)


def _check_missing_sentinel(model: XGBModel) -> None:
    sentinel = getattr(model, "missing", math.nan)
    if sentinel is not None and not math.isnan(sentinel):
        raise InputError(
            f"the model takes {sentinel} for a missing value; requests say null",
            hint="train with missing=nan, and replace the sentinel in the data",
        )


def _check_booster(booster: Booster, signature: Signature) -> None:
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
    _check_objective(booster, signature)


def _is_word(field: Field) -> bool:
    return field.type is FieldType.CATEGORY


def _check_objective(booster: Booster, signature: Signature) -> None:
    """Refuse outputs that are not what the signature says: a class number is no measurement."""
    objective, codes = _read_objective(booster)
    if signature.task is Task.REGRESSION:
        if objective.startswith(("binary:", "multi:")):
            raise InputError(
                f"the booster tells classes apart ({objective})",
                hint='say so: write_bundle(..., task="binary") or task="multiclass"',
            )
        return
    if objective not in (_BINARY, _SEVERAL):
        raise InputError(
            f"the booster gives no probabilities ({objective})",
            hint=f"train an XGBClassifier, or with the objective {_BINARY} or {_SEVERAL}",
        )
    learnt = 2 if objective == _BINARY else codes
    if learnt != len(signature.classes):
        raise InputError(f"the booster has {learnt} classes, not {len(signature.classes)}")


def _read_objective(booster: Booster) -> tuple[str, int]:
    """Return the objective, and the number of classes that multi:softprob has."""
    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return learner["objective"]["name"], int(learner["learner_model_param"]["num_class"])
