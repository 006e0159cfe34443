"""A trained model and its inputs go in; a bundle, a folder that can be verified, comes out.

A bundle holds exactly two files: `bundle.json` and the model file that it names, sizes and hashes.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.adapters.documents import parse_json, validate, write_file
from gitops.errors import InputError
from gitops.serving.formats import (
    MODEL_FILES,
    BundleFormat,
    find_classes,
    find_format,
    load_model,
    make_model_bytes,
)
from gitops.serving.outputs import make_reader
from gitops.serving.rows import make_encoder
from gitops.serving.signature import (
    Signature,
    make_signature,
    parse_signature,
    parse_task,
    signature_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pandas import DataFrame, Series

    from gitops.serving.formats import Model

DOCUMENT = "bundle.json"
SCHEMA_VERSION = 1
MAX_DOCUMENT_BYTES = 4 << 20
MAX_MODEL_BYTES = 1 << 30
PROVED_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified bundle.

    Attributes:
        directory: the folder it was read from.
        format: how the model file is written.
        signature: what a row must look like.
        metrics: what training measured; information only, the gate measures itself.
        digest: ``sha256:`` of the bundle's files.
        model: the verified bytes of the model file.
    """

    directory: Path
    format: BundleFormat
    signature: Signature
    metrics: Mapping[str, float]
    digest: str
    model: bytes = field(repr=False)


def write_bundle(
    directory: str | Path,
    *,
    model: Model,
    inputs: DataFrame,
    target: str,
    task: str = "regression",
    classes: Sequence[object] | None = None,
    metrics: Mapping[str, float] | None = None,
    unseen: tuple[str, ...] = (),
) -> Path:
    """Write a trained model as a bundle, and prove that the bundle predicts what the model does.

    Args:
        directory: folder to write; made if need be. An earlier bundle in it is replaced.
        model: XGBoost Booster or XGBModel, or a scikit-learn estimator or pipeline.
        inputs: the pandas DataFrame that the model was fitted on; the signature is learnt from it.
        target: name of the column that the model predicts.
        task: `regression`, `binary` or `multiclass`.
        classes: names for a classifier that learnt the codes 0, 1, 2 and so on, in the order of the
            codes; None takes the model's own.
        metrics: what training measured, shown to reviewers and never judged.
        unseen: category columns where a word that training never saw is let through.

    Returns:
        The folder.

    Raises:
        InputError: the model cannot be stored without pickle, or does not fit the inputs.
    """
    columns, categories = _read_columns(inputs)
    kind = find_format(model)
    signature = make_signature(
        columns,
        target=target,
        task=task,
        classes=find_classes(model, parse_task(task), classes),
        categories=categories,
        unseen=unseen,
    )
    payload = make_model_bytes(model, signature)
    _prove(model, inputs, kind, payload, signature)
    document = _make_document(kind, payload, signature, metrics or {})
    return _write(Path(directory), {MODEL_FILES[kind]: payload, DOCUMENT: document})


def read_bundle(directory: str | Path) -> Bundle:
    """Read a bundle and verify it: its files, its schema, the size and hash of its model.

    Raises:
        InputError: anything is missing, altered, added or not a plain file.
    """
    folder = Path(directory)
    files = _find_files(folder)
    content = _read_limited(files, folder, DOCUMENT, MAX_DOCUMENT_BYTES)
    where = str(folder / DOCUMENT)
    document = parse_json(content, where)
    validate("bundle", document, where)
    kind = BundleFormat(document["format"])
    model = _read_model(files, folder, kind, document["model"])
    hashes = {DOCUMENT: _sha256(content), MODEL_FILES[kind]: _sha256(model)}
    return Bundle(
        directory=folder,
        format=kind,
        signature=parse_signature(document["signature"]),
        metrics=document["metrics"],
        digest=_digest(hashes),
        model=model,
    )


def make_digest(directory: str | Path) -> str:
    """Return the digest of a bundle's files: ``sha256:`` of the sorted (path, sha256) pairs.

    It hashes what is there and does not judge it; `read_bundle` does.

    Raises:
        InputError: the folder does not exist, or holds something that is not a plain file.
    """
    files = _find_files(Path(directory))
    return _digest({name: _sha256(path.read_bytes()) for name, path in files.items()})


def _digest(hashes: Mapping[str, str]) -> str:
    pairs = json.dumps(sorted(hashes.items()), ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{_sha256(pairs.encode())}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_columns(inputs: DataFrame) -> tuple[dict[str, NDArray[Any]], dict[str, list[object]]]:
    """Return values by column, and the order of the words for columns of dtype 'category'."""
    names = list(getattr(inputs, "columns", ()))
    if not names or len(set(names)) < len(names) or not all(isinstance(x, str) for x in names):
        raise InputError(
            "the inputs need columns with distinct names",
            hint="give write_bundle the pandas DataFrame that the model was fitted on",
        )
    words = {name: getattr(inputs[name].dtype, "categories", None) for name in names}
    columns = {name: _plain_values(inputs[name]) for name in names}
    return columns, {name: list(each) for name, each in words.items() if each is not None}


def _plain_values(column: Series) -> NDArray[Any]:
    """Return a pandas column, of whatever dtype, as numbers with NaN or as objects with None."""
    numeric = column.dtype.kind in "iuf"
    values: NDArray[Any] = (
        column.to_numpy(dtype="float64", na_value=math.nan)
        if numeric
        else column.astype(object).where(column.notna(), None).to_numpy()
    )
    return values


def _prove(
    model: Model, inputs: DataFrame, kind: BundleFormat, payload: bytes, signature: Signature
) -> None:
    """Predict a few rows with the model and with its bytes; refuse a bundle that says otherwise.

    This catches what no type can: another order of the categories, another sentinel for missing.
    """
    import numpy as np

    frame = inputs.iloc[:PROVED_ROWS]
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    encode = make_encoder(signature, codes=kind is BundleFormat.XGBOOST)
    found = load_model(kind, payload, signature)([encode(row, i) for i, row in enumerate(rows)])
    direct = np.asarray(_predict_directly(model, frame, kind, signature))
    wanted = make_reader(signature.classes)(direct, len(frame))
    if not np.allclose(found, wanted, rtol=1e-5, atol=1e-6):
        worst = float(np.max(np.abs(np.subtract(found, wanted))))
        raise InputError(
            f"the stored model differs from the one in memory by up to {worst:.6g}",
            hint="give write_bundle the very DataFrame that the model was fitted on",
        )


def _predict_directly(
    model: Model, frame: DataFrame, kind: BundleFormat, signature: Signature
) -> object:
    find = model.predict
    if signature.classes and hasattr(model, "predict_proba"):
        find = model.predict_proba
    if kind is BundleFormat.XGBOOST and not hasattr(model, "get_booster"):
        import xgboost

        frame = xgboost.DMatrix(frame, enable_categorical=True)
    try:
        return find(frame)
    except Exception as error:
        # Which exceptions a model raises on foreign columns is its own affair.
        raise InputError(
            f"the model cannot predict the inputs: {str(error)[:300]}",
            hint="give write_bundle the very DataFrame that the model was fitted on",
        ) from error


def _make_document(
    kind: BundleFormat, payload: bytes, signature: Signature, metrics: Mapping[str, float]
) -> bytes:
    wrong = sorted(name for name, value in metrics.items() if not math.isfinite(value))
    if wrong:
        raise InputError(f"training metrics are not finite: {', '.join(wrong)}")
    body = {
        "schema_version": SCHEMA_VERSION,
        "format": kind,
        "model": {"file": MODEL_FILES[kind], "sha256": _sha256(payload), "size": len(payload)},
        "signature": signature_to_json(signature),
        "metrics": {name: float(value) for name, value in sorted(metrics.items())},
    }
    return (json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files, `bundle.json` last: without it a half-written folder is no bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DOCUMENT, *MODEL_FILES.values()):
        (folder / name).unlink(missing_ok=True)
    others = sorted(path.name for path in folder.iterdir())
    if others:
        raise InputError(
            f"the folder holds other files: {', '.join(others[:5])}",
            where=str(folder),
            hint="a bundle needs a folder of its own",
        )
    for name, content in files.items():
        write_file(folder / name, content)
    return folder


def _find_files(folder: Path) -> dict[str, Path]:
    """Return the plain files of a folder by name; anything else in it is an error."""
    if folder.is_symlink() or not folder.is_dir():
        raise InputError("there is no bundle here", where=str(folder), hint="train the model first")
    entries = sorted(folder.iterdir())
    odd = [path.name for path in entries if path.is_symlink() or not path.is_file()]
    if odd:
        raise InputError(f"not a plain file: {', '.join(odd)}", where=str(folder))
    return {path.name: path for path in entries}


def _read_model(
    files: Mapping[str, Path], folder: Path, kind: BundleFormat, declared: Mapping[str, Any]
) -> bytes:
    name = MODEL_FILES[kind]
    extra = sorted(set(files) - {DOCUMENT, name})
    if extra or declared["file"] != name:
        named = ", ".join(extra) or str(declared["file"])
        raise InputError(f"a bundle has no place for {named}", where=str(folder))
    content = _read_limited(files, folder, name, min(declared["size"], MAX_MODEL_BYTES))
    if len(content) != declared["size"] or _sha256(content) != declared["sha256"]:
        raise InputError(
            "the model file is not the one that the bundle describes",
            where=str(folder / name),
            hint="it was altered or cut off: fetch or train it again",
        )
    return content


def _read_limited(files: Mapping[str, Path], folder: Path, name: str, limit: int) -> bytes:
    if name not in files:
        raise InputError(f"the bundle has no {name}", where=str(folder))
    with files[name].open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"larger than {limit:,} bytes", where=str(files[name]))
    return content
