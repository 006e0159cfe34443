"""Training columns go in; the signature, what a row must look like, comes out."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from gitops.config import Task
from gitops.errors import InputError
from gitops.table import class_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAX_CATEGORIES = 10_000
MAX_CLASSES = 1_000


class FieldType(StrEnum):
    """What a field holds: a finite number, or one of the words that training saw."""

    NUMBER = "number"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input of a model.

    Attributes:
        name: column name in the raw data.
        type: number or category.
        missing: training saw missing values here, so a request may leave the value out (null).
        low: smallest number that training saw; informs, never refuses.
        high: largest number that training saw.
        categories: the words, in the order of their codes; empty for numbers.
        unseen: a word that training never saw is let through (to XGBoost as missing, to a
            scikit-learn pipeline as it is) instead of being refused.
    """

    name: str
    type: FieldType
    missing: bool = False
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    unseen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The inputs of a model in the order it takes them, and what it predicts.

    Attributes:
        inputs: the fields of a row.
        target: name of the column that the model predicts.
        task: kind of prediction.
        classes: the classes as text, in the order of the model's own outputs; empty for a
            regression.
    """

    inputs: tuple[Field, ...]
    target: str
    task: Task = Task.REGRESSION
    classes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs in order."""
        return tuple(field.name for field in self.inputs)


def make_signature(
    columns: Mapping[str, Sequence[object] | NDArray[Any]],
    *,
    target: str,
    task: str = Task.REGRESSION,
    classes: Sequence[object] = (),
    categories: Mapping[str, Sequence[object]] | None = None,
    unseen: Sequence[str] = (),
) -> Signature:
    """Learn a signature from training columns; None and NaN are missing values.

    Args:
        columns: values by column name, in the order the model takes them.
        target: name of the column that the model predicts.
        task: kind of prediction.
        classes: what a classifier tells apart, in the order of its outputs.
        categories: order of the words for columns whose codes are already fixed.
        unseen: category columns where a word that training never saw is let through.

    Raises:
        InputError: a column holds neither numbers nor words, an unknown name was given, or the
            classes do not fit the task.
    """
    ordered = categories or {}
    fields = tuple(
        _make_field(name, values, ordered.get(name), unseen=name in unseen)
        for name, values in columns.items()
    )
    _check_unseen(fields, unseen)
    kind = parse_task(task)
    return Signature(inputs=fields, target=target, task=kind, classes=parse_classes(kind, classes))


def signature_to_json(signature: Signature) -> dict[str, Any]:
    """Return the JSON form of a signature."""
    return asdict(signature)


def parse_signature(document: Mapping[str, Any]) -> Signature:
    """Read a signature back; the document has passed the bundle's schema.

    Raises:
        InputError: two inputs share a name, a category appears twice, a range is not finite, or
            the classes do not fit the task.
    """
    fields = tuple(
        Field(**{**body, "type": FieldType(body["type"]), "categories": tuple(body["categories"])})
        for body in document["inputs"]
    )
    _check_names([field.name for field in fields])
    for field in fields:
        _check_field(field)
    task = Task(document["task"])
    # A bundle of a regression may be older than classes.
    classes = parse_classes(task, document.get("classes", ()))
    return Signature(inputs=fields, target=document["target"], task=task, classes=classes)


def category_text(value: object) -> str | None:
    """Return the word for a category; whole numbers are words too, anything else is None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return str(int(value)) if math.isfinite(value) and value == int(value) else None


def _make_field(
    name: str,
    values: Sequence[object] | NDArray[Any],
    categories: Sequence[object] | None,
    *,
    unseen: bool,
) -> Field:
    array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else object)
    if categories is not None:
        missing = any(map(_is_missing, array.tolist()))
        return _make_category(name, categories, missing=missing, unseen=unseen)
    if array.dtype.kind in "iuf":
        return _make_number(name, array.astype(np.float64))
    present = [value for value in array.tolist() if not _is_missing(value)]
    if all(isinstance(value, str) for value in present) and present:
        words = sorted({str(value) for value in present})
        return _make_category(name, words, missing=len(present) < len(array), unseen=unseen)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        numbers = [math.nan if _is_missing(value) else value for value in array.tolist()]
        return _make_number(name, np.array(numbers, dtype=np.float64))
    kinds = sorted({type(value).__name__ for value in present})
    raise InputError(
        f"input `{name}` holds {', '.join(kinds)}; a model takes numbers or words",
        hint=f"convert the column before training, e.g. inputs[{name!r}].astype(float)",
    )


def _make_number(name: str, values: NDArray[np.float64]) -> Field:
    present = values[~np.isnan(values)]
    if np.isinf(present).any():
        raise InputError(f"input `{name}` holds infinite values", hint="clean the training data")
    low, high = (float(present.min()), float(present.max())) if present.size else (None, None)
    missing = present.size < values.size
    return Field(name=name, type=FieldType.NUMBER, missing=missing, low=low, high=high)


def _make_category(
    name: str, categories: Sequence[object], *, missing: bool, unseen: bool
) -> Field:
    words = tuple(category_text(value) for value in categories)
    if None in words or len(set(words)) < len(words):
        raise InputError(f"the categories of input `{name}` are not distinct words")
    if len(words) > MAX_CATEGORIES:
        raise InputError(
            f"input `{name}` has {len(words)} categories; at most {MAX_CATEGORIES} are sensible",
            hint="leave the column out: it names rows rather than describing them",
        )
    known = tuple(word for word in words if word is not None)
    kind = FieldType.CATEGORY
    return Field(name=name, type=kind, missing=missing, categories=known, unseen=unseen)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def parse_task(task: str) -> Task:
    """Read the name of a task; InputError names those there are."""
    if task not in tuple(Task):
        raise InputError(f"task {task!r} is not known", hint=f"use one of: {', '.join(Task)}")
    return Task(task)


def parse_classes(task: Task, classes: Sequence[object]) -> tuple[str, ...]:
    """Return classes as canonical text in the order given.

    Raises:
        InputError: they are not distinct, or not as many as the task has.
    """
    named = [class_text(value) for value in classes]
    found = tuple(name for name in named if name is not None)
    if len(found) < len(classes) or len(set(found)) < len(found):
        raise InputError("the classes are not distinct texts, numbers or booleans")
    wanted = {Task.REGRESSION: (0, 0), Task.BINARY: (2, 2), Task.MULTICLASS: (2, MAX_CLASSES)}
    least, most = wanted[task]
    if not least <= len(found) <= most:
        raise InputError(
            f"a {task} model cannot have {len(found)} classes",
            hint="give write_bundle the task of the model: regression, binary or multiclass",
        )
    return found


def _check_unseen(fields: Sequence[Field], unseen: Sequence[str]) -> None:
    words = {field.name for field in fields if field.type is FieldType.CATEGORY}
    strangers = sorted(set(unseen) - words)
    if strangers:
        raise InputError(f"`unseen` names columns without categories: {', '.join(strangers)}")


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the signature names inputs twice: {', '.join(twice)}")


def _check_field(field: Field) -> None:
    limits = [limit for limit in (field.low, field.high) if limit is not None]
    if not all(map(math.isfinite, limits)):
        raise InputError(f"the range of input `{field.name}` is not finite")
    if len(set(field.categories)) < len(field.categories):
        raise InputError(f"input `{field.name}` names a category twice")
