"""A trained model goes in, its bytes come out; verified bytes go in, a predict function comes out.

Two formats, neither of which can run code when it is read: XGBoost's UBJSON, and skops for
scikit-learn with a fixed list of trusted types. Pickle is not among them and never will be.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from gitops.config import Task
from gitops.errors import InputError
from gitops.serving.outputs import Predict
from gitops.serving.signature import Signature, parse_classes
from gitops.serving.sklearn_format import load_sklearn, make_sklearn_bytes
from gitops.serving.xgboost_format import count_codes, load_xgboost, make_xgboost_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.base import BaseEstimator
    from xgboost import Booster, XGBModel

    Model: TypeAlias = Booster | XGBModel | BaseEstimator


class BundleFormat(StrEnum):
    """How the model file is written."""

    XGBOOST = "xgboost"
    SKLEARN = "sklearn"


MODEL_FILES = {BundleFormat.XGBOOST: "model.ubj", BundleFormat.SKLEARN: "model.skops"}


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


def find_classes(model: Model, task: Task, named: Sequence[object] | None) -> tuple[str, ...]:
    """Return the classes of a model as text, in the order of its outputs.

    Args:
        model: a trained model.
        task: kind of prediction.
        named: names for a model that learnt the codes 0, 1, 2 and so on, in the order of the codes;
            None takes the model's own.

    Raises:
        InputError: the names contradict what the model learnt, or do not fit the task.
    """
    if task is Task.REGRESSION:
        return parse_classes(task, named or ())
    learnt = _read_classes(model, task)
    if named is None:
        return learnt
    given = parse_classes(task, named)
    is_coded = learnt == tuple(str(code) for code in range(len(learnt)))
    if len(given) != len(learnt) or (given != learnt and not is_coded):
        raise InputError(
            f"the model learnt the classes {', '.join(learnt)[:200]}, not {', '.join(given)[:200]}",
            hint="leave `classes` out, or give one for each code of the model, in their order",
        )
    return given


def _read_classes(model: Model, task: Task) -> tuple[str, ...]:
    """Return what a model itself calls its classes; a bare booster knows codes only."""
    own: Any = getattr(model, "classes_", None)
    if own is None and find_format(model) is BundleFormat.XGBOOST:
        own = range(count_codes(model))
    # Plain Python values: numpy's booleans and numbers are none to the rest of the house.
    listed = own.tolist() if hasattr(own, "tolist") else list(own or ())
    return parse_classes(task, listed)


def make_model_bytes(model: Model, signature: Signature) -> bytes:
    """Return the bytes of a model; the same trained model gives the same bytes.

    Raises:
        InputError: the model does not fit the signature, or holds types that are not trusted.
    """
    if find_format(model) is BundleFormat.XGBOOST:
        return make_xgboost_bytes(model, signature)
    return make_sklearn_bytes(model, signature)


def load_model(kind: BundleFormat, payload: bytes, signature: Signature) -> Predict:
    """Turn verified bytes into a function from encoded rows to predictions.

    The function is safe to call from several threads. It raises `ModelError` when the model fails.

    Raises:
        InputError: the bytes are not a model of this format, or do not fit the signature.
    """
    if kind is BundleFormat.XGBOOST:
        return load_xgboost(payload, signature)
    return load_sklearn(payload, signature)
