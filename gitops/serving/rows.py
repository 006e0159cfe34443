"""A signature goes in; an encoder, which turns one raw row into what the model takes, comes out.

Every value is checked once, here, for the gate and for the server alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gitops.errors import InputError
from gitops.serving.signature import Field, FieldType, Signature, category_text

EncodedRow = list[float | str]
Encoder = Callable[[Mapping[str, object], int], EncodedRow]
_Converter = Callable[[Mapping[str, object]], float | str]

# XGBoost computes in float32; a larger number would turn into infinity without a word.
LARGEST = 3.4028234e38
_ABSENT = object()


class RowError(InputError):
    """A row does not fit the signature.

    Attributes:
        field: name of the input concerned, empty when the row as a whole is wrong.
        row: position of the row in the request, from 0.
        message: what is wrong, without the value itself, which may be personal.
    """

    def __init__(self, field: str, row: int, message: str) -> None:
        place = f"row {row}, field `{field}`" if field else f"row {row}"
        super().__init__(message, where=place)
        self.field = field
        self.row = row
        self.message = message


class _RefusedValueError(Exception):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def make_encoder(signature: Signature, *, codes: bool) -> Encoder:
    """Build the encoder of a signature; it raises `RowError` for a row that does not fit.

    Columns that the signature does not name are ignored: raw rows carry more than a model uses.

    Args:
        signature: what a row must look like.
        codes: give categories as their position in the signature; else as the word itself.
            A missing value is NaN either way.
    """
    converters = tuple(_make_converter(field, codes=codes) for field in signature.inputs)

    def encode(row: Mapping[str, object], index: int) -> EncodedRow:
        try:
            return [convert(row) for convert in converters]
        except _RefusedValueError as refused:
            raise RowError(refused.field, index, refused.message) from None

    return encode


def _make_converter(field: Field, *, codes: bool) -> _Converter:
    if field.type is FieldType.NUMBER:
        return _make_number_converter(field)
    return _make_category_converter(field, codes=codes)


def _make_number_converter(field: Field) -> _Converter:
    name = field.name

    def convert(row: Mapping[str, object]) -> float:
        value = row.get(name, _ABSENT)
        # The exact types: a bool is an int to Python, and no number to a model.
        if type(value) is float or type(value) is int:
            if -LARGEST <= value <= LARGEST:
                return float(value)
            raise _RefusedValueError(name, "must be a finite number that fits 32 bits")
        return _accept_missing(field, value, "a number")

    return convert


def _make_category_converter(field: Field, *, codes: bool) -> _Converter:
    known: dict[str, float | str] = {
        word: float(code) if codes else word for code, word in enumerate(field.categories)
    }
    name = field.name

    def convert(row: Mapping[str, object]) -> float | str:
        value = row.get(name, _ABSENT)
        word = category_text(value)
        if word is None:
            return _accept_missing(field, value, "one of its categories, as text")
        return known[word] if word in known else _accept_unseen(field, word, codes=codes)

    return convert


def _accept_missing(field: Field, value: object, wanted: str) -> float:
    if value is _ABSENT:
        raise _RefusedValueError(field.name, "is not there; send null where a value is unknown")
    if value is not None:
        raise _RefusedValueError(field.name, f"must be {wanted}, not {type(value).__name__}")
    if not field.missing:
        raise _RefusedValueError(field.name, "is null, and training never saw it missing")
    return math.nan


def _accept_unseen(field: Field, word: str, *, codes: bool) -> float | str:
    if field.unseen:
        return math.nan if codes else word
    if field.missing:
        return math.nan
    raise _RefusedValueError(field.name, "is a category that training never saw")
