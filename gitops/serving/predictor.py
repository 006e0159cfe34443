"""A bundle and an identity go in; the one predictor that gate and server share comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Self

from gitops.errors import InputError
from gitops.run import Prediction
from gitops.serving.bundle import Bundle, read_bundle
from gitops.serving.formats import BundleFormat, load_model
from gitops.serving.outputs import ModelError, is_usable
from gitops.serving.rows import EncodedRow, RowError, make_encoder
from gitops.table import sort_classes

if TYPE_CHECKING:
    from pathlib import Path

# Identities travel in response headers: printable ASCII, no space.
_WORD = re.compile(r"[\x21-\x7e]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which model answers, and where it came from; empty where nobody knows.

    Attributes:
        model: name of the model.
        version: its version, e.g. ``v1.2.0``.
        commit: Git commit that points to it.
        bundle: digest of its bundle.
        fingerprint: digest of everything it was trained from.
    """

    model: str
    version: str = ""
    commit: str = ""
    bundle: str = ""
    fingerprint: str = ""


def parse_identity(document: object, where: str = "identity") -> Identity:
    """Read an identity from its JSON object; raise InputError for odd keys or characters."""
    known = [each.name for each in fields(Identity)]
    if not isinstance(document, dict) or not {"model"} <= set(document) <= set(known):
        raise InputError(f"an identity needs `model` and may have {', '.join(known)}", where=where)
    for name, value in document.items():
        if not isinstance(value, str) or not _WORD.fullmatch(value):
            raise InputError(f"`{name}` must be printable text without spaces", where=where)
    return Identity(**document)


def identity_to_json(identity: Identity) -> dict[str, str]:
    """Return the JSON form of an identity."""
    return asdict(identity)


class Predictor:
    """Predicts rows with a verified bundle.

    Attributes:
        bundle: what it predicts with.
        signature: what a row must look like.
        classes: the classes in the order of a prediction's probabilities; empty for a regression.
        identity: which model answers.
    """

    def __init__(self, bundle: Bundle, identity: Identity | None = None) -> None:
        """Load the model of a bundle; raise InputError when the identity names other bytes."""
        given = identity or Identity(model="model", bundle=bundle.digest)
        if given.bundle and given.bundle != bundle.digest:
            raise InputError(
                f"the identity names the bundle {given.bundle}, and this one is {bundle.digest}",
                where=str(bundle.directory),
                hint="fetch the bundle of the commit that the identity names",
            )
        self.bundle = bundle
        self.signature = bundle.signature
        self.classes = sort_classes(bundle.signature.classes)
        self.identity = Identity(**{**asdict(given), "bundle": bundle.digest})
        self._encode = make_encoder(self.signature, codes=bundle.format is BundleFormat.XGBOOST)
        self._predict = load_model(bundle.format, bundle.model, self.signature)

    @classmethod
    def load(cls, directory: str | Path, identity: Identity | None = None) -> Self:
        """Read, verify and load a bundle; raise InputError when it cannot be trusted or read."""
        return cls(read_bundle(directory), identity)

    def encode(self, row: Mapping[str, object], index: int = 0) -> EncodedRow:
        """Validate one raw row; raise `RowError`, with the position given, when it does not fit."""
        if not isinstance(row, Mapping):
            raise RowError("", index, "must be an object of named fields")
        return self._encode(row, index)

    def predict(self, rows: Sequence[Mapping[str, object]]) -> list[Prediction]:
        """Return one prediction a row: a finite number, or the probability of each of `classes`.

        Raises:
            RowError: the first row that does not fit the signature.
            ModelError: the model failed, or gave something that is not a finite number.
        """
        values = self.predict_encoded([self.encode(row, i) for i, row in enumerate(rows)])
        odd = next((i for i, value in enumerate(values) if not is_usable(value)), None)
        if odd is not None:
            raise ModelError(f"the model gave {values[odd]} for row {odd}")
        return values

    def predict_encoded(self, rows: Sequence[EncodedRow]) -> list[Prediction]:
        """Return whatever the model says about validated rows, finite or not."""
        return self._predict(rows) if rows else []
