"""Bodies of KServe's V1 and V2 protocols go in as rows; predictions come out as their answers.

Rows are only shaped here; whether their values fit the model is the predictor's to say.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import orjson

from gitops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.run import Prediction
    from gitops.serving.predictor import Identity

Rows = list[dict[str, object]]

_NUMBERS = ("FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64")
_DATATYPES = (*_NUMBERS, "UINT8", "UINT16", "UINT32", "UINT64", "BYTES", "BOOL")


class RequestError(InputError):
    """A request that is not one of the protocols', before any value is looked at.

    Attributes:
        status: the HTTP status to answer with.
        reason: one word for metrics and logs.
    """

    def __init__(self, what: str, *, status: int = 400, reason: str = "malformed") -> None:
        super().__init__(what)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A V2 input: its values row by row, and how many columns they fill."""

    name: str
    rows: int
    width: int
    values: list[object]


def parse_body(body: bytes) -> Mapping[str, Any]:
    """Parse a JSON object; NaN and infinity are let through for the rows to be judged by name."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _parse_leniently(body)
    if not isinstance(document, dict):
        raise RequestError("the body must be a JSON object")
    return document


def _parse_leniently(body: bytes) -> object:
    """Parse what Python clients send for a missing number: the bare word NaN is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON") from error


def parse_v1(document: Mapping[str, Any], names: Sequence[str]) -> Rows:
    """Return the rows of ``{"instances": [...]}``: objects, or arrays in signature order."""
    instances = document.get("instances")
    if not isinstance(instances, list):
        raise RequestError("`instances` must be a list of rows")
    return [_parse_instance(each, index, names) for index, each in enumerate(instances)]


def _parse_instance(instance: object, index: int, names: Sequence[str]) -> dict[str, object]:
    if isinstance(instance, dict):
        return instance
    if not isinstance(instance, list):
        raise RequestError(f"row {index} must be an object of named fields or an array")
    if len(instance) != len(names):
        wanted = f"{len(names)} values: {', '.join(names)}"
        raise RequestError(f"row {index} has {len(instance)} values; the model takes {wanted}")
    return dict(zip(names, instance, strict=True))


def parse_v2(document: Mapping[str, Any], names: Sequence[str]) -> Rows:
    """Return the rows of V2 inputs: one column a named tensor, or one tensor of all columns.

    NaN in a tensor is a missing value: a tensor of floats has no other way to say it.
    """
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError("`inputs` must be a list of tensors")
    return make_rows([_parse_tensor(each) for each in inputs], names)


def make_rows(tensors: Sequence[Tensor], names: Sequence[str]) -> Rows:
    """Turn tensors into rows; raise RequestError when their shapes do not fit together."""
    first = tensors[0]
    if len(tensors) == 1 and (first.name not in names or first.width > 1):
        return _split_rows(first, names)
    odd = next((each for each in tensors if each.width != 1 or each.rows != first.rows), None)
    if odd is not None:
        raise RequestError(f"tensor `{odd.name}` must hold one value for each of the rows")
    if len({each.name for each in tensors}) < len(tensors):
        raise RequestError("two tensors share a name")
    keys = [each.name for each in tensors]
    return [
        dict(zip(keys, row, strict=True))
        for row in zip(*(each.values for each in tensors), strict=True)
    ]


def _split_rows(tensor: Tensor, names: Sequence[str]) -> Rows:
    if tensor.width != len(names):
        wanted = f"{len(names)} columns: {', '.join(names)}"
        raise RequestError(
            f"tensor `{tensor.name}` has {tensor.width} columns; the model takes {wanted}"
        )
    width, values = tensor.width, tensor.values
    return [
        dict(zip(names, values[start : start + width], strict=True))
        for start in range(0, len(values), width)
    ]


def _parse_tensor(body: object) -> Tensor:
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        raise RequestError("a tensor needs `name`, `shape`, `datatype` and `data`")
    name, shape, data = body["name"], body.get("shape"), body.get("data")
    if body.get("datatype") not in _DATATYPES:
        raise RequestError(f"tensor `{name}` has no known `datatype`")
    if not _is_shape(shape) or not isinstance(data, list):
        raise RequestError(f"tensor `{name}` needs a `shape` of one or two dimensions, and `data`")
    width = shape[1] if len(shape) > 1 else 1
    values = _flatten(data)
    if len(values) != shape[0] * width:
        held = f"holds {len(values)} values, its shape says {shape[0] * width}"
        raise RequestError(f"tensor `{name}` {held}")
    return make_tensor(name, shape[0], width, values)


def make_tensor(name: str, rows: int, width: int, values: list[object]) -> Tensor:
    """Return a tensor whose NaN values have become None."""
    cleaned = [None if isinstance(x, float) and math.isnan(x) else x for x in values]
    return Tensor(name=name, rows=rows, width=width, values=cleaned)


def _is_shape(shape: object) -> TypeGuard[list[int]]:
    return (
        isinstance(shape, list)
        and len(shape) in (1, 2)
        and all(type(size) is int and size >= 0 for size in shape)
        and shape[-1:] != [0]
    )


def _flatten(data: list[Any]) -> list[object]:
    """Return nested rows as one list; deeper nesting stays, and is refused as a value."""
    if data and all(isinstance(each, list) for each in data):
        return [value for row in data for value in row]
    return data


def render_v1(
    predictions: Sequence[Prediction], classes: Sequence[str], identity: Mapping[str, str]
) -> bytes:
    """Return the V1 answer, with the identity of the model beside the predictions."""
    return orjson.dumps({"predictions": make_v1_values(predictions, classes), "model": identity})


def make_v1_values(predictions: Sequence[Prediction], classes: Sequence[str]) -> Sequence[object]:
    """Return predictions as V1 answers list them.

    A regression gives numbers. A classifier gives ``{"label", "probabilities"}``, the probabilities
    by class, so that nobody has to know the order of the classes.
    """
    if not classes:
        return predictions
    return [
        {"label": pick_label(each, classes), "probabilities": dict(zip(classes, each, strict=True))}
        for each in predictions
        if isinstance(each, tuple)
    ]


def pick_label(probabilities: Sequence[float], classes: Sequence[str]) -> str:
    """Return the most probable class; of two equally probable ones the second, else the first."""
    if len(classes) == 2:
        return classes[probabilities[1] >= probabilities[0]]
    return classes[probabilities.index(max(probabilities))]


def make_v1_identity(identity: Identity) -> dict[str, str]:
    """Return the identity as V1 answers carry it."""
    return {
        "name": identity.model,
        "version": identity.version,
        "commit": identity.commit,
        "bundle": identity.bundle,
    }


def make_v2_outputs(
    predictions: Sequence[Prediction], classes: Sequence[str], target: str
) -> list[dict[str, Any]]:
    """Return predictions as V2 tensors.

    A regression gives one tensor, named like the target. A classifier gives `label` and
    `probabilities`, a row of them for each row, whose parameter `classes` is the JSON text of the
    names in their order: V2 parameters cannot be lists.
    """
    count = len(predictions)
    if not classes:
        return [{"name": target, "datatype": "FP64", "shape": [count], "data": predictions}]
    rows = [each for each in predictions if isinstance(each, tuple)]
    labels = [pick_label(each, classes) for each in rows]
    return [
        {"name": "label", "datatype": "BYTES", "shape": [count], "data": labels},
        {
            "name": "probabilities",
            "datatype": "FP64",
            "shape": [count, len(classes)],
            "parameters": {"classes": json.dumps(list(classes), ensure_ascii=False)},
            "data": [value for row in rows for value in row],
        },
    ]


def render_v2(
    outputs: Sequence[Mapping[str, Any]], name: str, identity: Identity, request_id: object
) -> bytes:
    """Return the V2 answer; commit and bundle of the model are its parameters."""
    body = {
        "model_name": name,
        "model_version": identity.version,
        "parameters": {"commit": identity.commit, "bundle": identity.bundle},
        "outputs": outputs,
    }
    if isinstance(request_id, str):
        body["id"] = request_id
    return orjson.dumps(body)


def render_error(message: str, *, field: str = "", row: int | None = None) -> bytes:
    """Return the body of an error; it names field and row where there are some."""
    place = {"field": field, "row": row} if row is not None else {}
    return orjson.dumps({"error": message, **place})
