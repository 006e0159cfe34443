"""Request bodies go in; answers come out, with the predictor between. It knows no HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gitops.serving.outputs import ModelError
from gitops.serving.protocol import (
    RequestError,
    Rows,
    make_v1_identity,
    make_v2_outputs,
    parse_body,
    parse_v1,
    parse_v2,
    render_error,
    render_v1,
    render_v2,
)
from gitops.serving.rows import RowError
from gitops.serving.signature import Field, FieldType, signature_to_json
from gitops.serving.telemetry import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops.run import Prediction
    from gitops.serving.predictor import Predictor

MAX_ROWS = 10_000


class Service:
    """Answers V1 and V2 requests, and describes itself.

    Attributes:
        name: name of the model in the endpoint's path.
        predictor: what predicts.
        identity: the identity as V1 answers carry it.
    """

    def __init__(self, predictor: Predictor, name: str, *, max_rows: int = MAX_ROWS) -> None:
        self.name = name
        self.predictor = predictor
        self.identity = make_v1_identity(predictor.identity)
        self._names = predictor.signature.names
        self._max_rows = max_rows

    def answer_v1(self, body: bytes) -> Answer:
        """Answer ``POST /v1/models/<name>:predict``."""
        return self._answer(body, self._predict_v1)

    def answer_v2(self, body: bytes) -> Answer:
        """Answer ``POST /v2/models/<name>/infer``."""
        return self._answer(body, self._predict_v2)

    def predict(self, rows: Rows) -> list[Prediction]:
        """Predict a batch; raise RequestError when it is larger than allowed."""
        if len(rows) > self._max_rows:
            message = f"{len(rows)} rows in one request; at most {self._max_rows} are allowed"
            raise RequestError(message, status=413, reason="too_many_rows")
        return self.predictor.predict(rows)

    def make_metadata(self) -> dict[str, Any]:
        """Return V2 model metadata, with signature and identity as parameters."""
        identity, signature = self.predictor.identity, self.predictor.bundle.signature
        return {
            "name": self.name,
            "versions": [identity.version] if identity.version else [],
            "platform": self.predictor.bundle.format,
            "inputs": self.make_inputs(),
            "outputs": self.make_outputs(),
            "parameters": {**self.identity, "signature": signature_to_json(signature)},
        }

    def make_inputs(self) -> list[dict[str, Any]]:
        """Return the inputs as V2 describes tensors."""
        return [_describe(field) for field in self.predictor.signature.inputs]

    def make_outputs(self) -> list[dict[str, Any]]:
        """Return the outputs as V2 describes tensors."""
        classes = self.predictor.classes
        if not classes:
            return [{"name": self.predictor.signature.target, "datatype": "FP64", "shape": [-1]}]
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(classes)]},
        ]

    def answer_metadata(self, _body: bytes) -> Answer:
        """Answer ``GET /v2/models/<name>``."""
        return Answer(status=200, body=orjson.dumps(self.make_metadata()))

    def _answer(self, body: bytes, predict: Callable[[bytes], tuple[bytes, int]]) -> Answer:
        try:
            answer, rows = predict(body)
        except RowError as error:
            text = render_error(str(error), field=error.field, row=error.row)
            return Answer(status=400, body=text, reason="row")
        except RequestError as error:
            return Answer(status=error.status, body=render_error(str(error)), reason=error.reason)
        except ModelError as error:
            return Answer(status=500, body=render_error(str(error)), reason="model")
        return Answer(status=200, body=answer, rows=rows)

    def _predict_v1(self, body: bytes) -> tuple[bytes, int]:
        rows = parse_v1(parse_body(body), self._names)
        found = self.predict(rows)
        return render_v1(found, self.predictor.classes, self.identity), len(rows)

    def _predict_v2(self, body: bytes) -> tuple[bytes, int]:
        document = parse_body(body)
        rows = parse_v2(document, self._names)
        target = self.predictor.signature.target
        outputs = make_v2_outputs(self.predict(rows), self.predictor.classes, target)
        identity = self.predictor.identity
        return render_v2(outputs, self.name, identity, document.get("id")), len(rows)


def _describe(field: Field) -> dict[str, Any]:
    datatype = "FP64" if field.type is FieldType.NUMBER else "BYTES"
    return {"name": field.name, "datatype": datatype, "shape": [-1]}
