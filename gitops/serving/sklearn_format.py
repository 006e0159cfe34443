"""A trained scikit-learn model goes in, its skops bytes come out; bytes go in, a predict function comes out."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from gitops.config import Task
from gitops.errors import GitopsError, InputError
from gitops.serving.forests import TREE, check_trees
from gitops.serving.outputs import ModelError, Predict, first_line, make_reader
from gitops.serving.signature import FieldType, Signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.base import BaseEstimator

    from gitops.run import Prediction
    from gitops.serving.rows import EncodedRow

# Beyond skops' own list: the first describes memory and holds no code, the trees are looked through.
TRUSTED_TYPES = ("numpy.dtype", TREE)
MAX_UNPACKED_BYTES = 1 << 30
_SCHEMA = "schema.json"


def make_sklearn_bytes(model: BaseEstimator, signature: Signature) -> bytes:
    """Return the bytes of a model; InputError when it does not fit, or holds untrusted types."""
    import skops.io

    _check_task(model, signature)
    names = getattr(model, "feature_names_in_", None)
    if names is not None and tuple(names) != signature.names:
        raise InputError(
            f"the model takes {', '.join(names)}; the inputs are {', '.join(signature.names)}",
            hint="give write_bundle the DataFrame that the model was fitted on",
        )
    payload = _make_reproducible(skops.io.dumps(model))
    _check_types(payload)
    return payload


def load_sklearn(payload: bytes, signature: Signature) -> Predict:
    """Return the predict function of a stored model; InputError when it cannot be trusted or read."""
    import pandas as pd

    model = _load(payload, signature)
    find = model.predict_proba if signature.classes else model.predict
    read = make_reader(signature.classes)
    kinds = {
        field.name: "object" if field.type is FieldType.CATEGORY else "float64"
        for field in signature.inputs
    }

    def predict(rows: Sequence[EncodedRow]) -> list[Prediction]:
        columns = zip(kinds.items(), zip(*rows, strict=True), strict=True)
        frame = pd.DataFrame({name: pd.Series(each, dtype=kind) for (name, kind), each in columns})
        try:
            found = find(frame)
        except Exception as error:
            # A pipeline runs its author's choice of steps, which may raise anything.
            raise ModelError(f"scikit-learn failed: {first_line(error)}") from error
        return read(found, len(rows))

    return predict


def _load(payload: bytes, signature: Signature) -> Any:
    import skops.io

    try:
        _check_archive(payload)
        _check_types(payload)
        model = skops.io.loads(payload, trusted=list(TRUSTED_TYPES))
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            check_trees(model, json.loads(archive.read(_SCHEMA)))
        _check_task(model, signature)
    except GitopsError:
        raise
    except Exception as error:
        # A file from outside can make skops fail in any way; all of them mean the same.
        raise InputError(f"not a skops model: {first_line(error)}") from error
    return model


def _check_task(model: BaseEstimator, signature: Signature) -> None:
    """Refuse a model whose predictions are not what the signature says."""
    from sklearn.base import is_classifier

    if signature.task is Task.REGRESSION:
        if is_classifier(model):
            raise InputError(
                "the model is a classifier",
                hint='say so: write_bundle(..., task="binary") or task="multiclass"',
            )
    elif not is_classifier(model) or not hasattr(model, "predict_proba"):
        raise InputError(
            f"a {type(model).__name__} gives no probabilities",
            hint="train a classifier that has predict_proba",
        )


def _make_reproducible(payload: bytes) -> bytes:
    """Rewrite a skops archive without memory addresses and times: equal models, equal bytes."""
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        files = {name: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    schema = _renumber(schema, numbers, names)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {names[old]: files[old] for old in names}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        text = json.dumps(schema, sort_keys=False)
        archive.writestr(zipfile.ZipInfo(_SCHEMA), text, zipfile.ZIP_DEFLATED)
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
            hint="use scikit-learn's own transformers, linear models and forests, or XGBoost",
        )


def _check_archive(payload: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise InputError(f"the model unpacks to {unpacked:,} bytes; {MAX_UNPACKED_BYTES:,} allowed")
