"""A service goes in; KServe's own model, REST server and ModelServer around it come out.

Importing KServe takes seconds, so this module is only imported by a process that serves.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import uuid
from typing import TYPE_CHECKING, Any

import kserve
from kserve.errors import InferenceError, InvalidInput
from kserve.model_server import app
from kserve.protocol.rest.server import RESTServer

from gitops.serving.lane import Lane
from gitops.serving.logs import AccessLog
from gitops.serving.outputs import ModelError
from gitops.serving.protocol import (
    RequestError,
    Rows,
    make_rows,
    make_tensor,
    make_v1_values,
    make_v2_outputs,
    parse_body,
    parse_v1,
)
from gitops.serving.rows import RowError
from gitops.serving.telemetry import Telemetry

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from gitops.run import Prediction
    from gitops.serving.service import Service

GRACE_SECONDS = 10
_POLL_SECONDS = 0.005


class ServedModel(kserve.Model):  # type: ignore[misc]  # kserve ships no types
    """The model as KServe knows it; answers what the lane leaves to KServe."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.name)
        self._service = service
        self.ready = True

    async def predict(
        self,
        payload: dict[str, Any] | bytes | kserve.InferRequest,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002  KServe passes it by position
        response_headers: Mapping[str, str] | None = None,  # noqa: ARG002  the same
    ) -> dict[str, Any] | kserve.InferResponse:
        """Predict a decoded V1 or V2 payload."""
        names = self._service.predictor.signature.names
        binary = isinstance(payload, kserve.InferRequest)
        try:
            # KServe decodes a body only when its content type says JSON.
            body = parse_body(payload) if isinstance(payload, bytes) else payload
            rows = _read_rows(payload, names) if binary else parse_v1(body, names)
            found = self._service.predict(rows)
        except (RowError, RequestError) as error:
            raise InvalidInput(str(error)) from error
        except ModelError as error:
            raise InferenceError(str(error)) from error
        if binary:
            return self._make_response(payload, found)
        values = make_v1_values(found, self._service.predictor.classes)
        return {"predictions": values, "model": self._service.identity}

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs as V2 describes tensors."""
        return self._service.make_inputs()

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs as V2 describes tensors."""
        return self._service.make_outputs()

    def _make_response(
        self, request: kserve.InferRequest, found: list[Prediction]
    ) -> kserve.InferResponse:
        predictor = self._service.predictor
        identity = predictor.identity
        outputs = make_v2_outputs(found, predictor.classes, predictor.signature.target)
        return kserve.InferResponse(
            response_id=request.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=identity.version or None,
            infer_outputs=[kserve.InferOutput(**output) for output in outputs],
            parameters={"commit": identity.commit, "bundle": identity.bundle},
        )


def _read_rows(request: kserve.InferRequest, names: tuple[str, ...]) -> Rows:
    if not request.inputs or any(len(each.shape) not in (1, 2) for each in request.inputs):
        raise RequestError("tensors need a shape of one or two dimensions")
    tensors = [
        make_tensor(each.name, each.shape[0], (*each.shape, 1)[1], _read_values(each))
        for each in request.inputs
    ]
    return make_rows(tensors, names)


def _read_values(tensor: kserve.InferInput) -> list[object]:
    try:
        values = tensor.as_numpy().reshape(-1).tolist()
        return [each.decode() if isinstance(each, bytes) else each for each in values]
    except (ValueError, TypeError) as error:
        raise RequestError(f"tensor `{tensor.name}` does not hold what it says") from error


class _RestServer(RESTServer):  # type: ignore[misc]  # kserve ships no types
    """KServe's REST server on a socket of ours, with the lane in front of its application."""

    def __init__(
        self,
        server: Server,
        lane: Lane,
        listener: socket.socket,
        on_ready: Callable[[int], None],
    ) -> None:
        port = listener.getsockname()[1]
        super().__init__(
            "kserve.model_server:app",
            server.dataplane,
            server.model_repository_extension,
            port,
            grace_period=GRACE_SECONDS,
        )
        self.config.app = lane
        self.config.proxy_headers = False
        self.config.server_header = False
        self._listener = listener
        self._port = port
        self._on_ready: Callable[[int], None] = on_ready

    async def start(self) -> None:
        """Serve until a signal; say when the first request can be answered."""
        self.create_application()
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(_POLL_SECONDS)
        if self._server.started:
            self._on_ready(self._port)
        await serving


class Server(kserve.ModelServer):  # type: ignore[misc]  # kserve ships no types
    """KServe's ModelServer for one service: REST only, one process, one access log."""

    def __init__(
        self, service: Service, listener: socket.socket, on_ready: Callable[[int], None]
    ) -> None:
        super().__init__(enable_grpc=False, workers=1, enable_latency_logging=False)
        self._log = AccessLog(sys.stdout.buffer)
        telemetry = Telemetry(service.predictor.identity, self._log)
        self._model = ServedModel(service)
        self._rest_server = _RestServer(self, Lane(app, service, telemetry), listener, on_ready)
        _silence_access_logs()

    def start(self, models: list[kserve.Model]) -> None:
        """Serve the service's model, and any others given, until a signal."""
        self._register_and_check_atleast_one_model_is_ready([self._model, *models])
        self.register_signal_handler()
        # KServe runs on asyncio's own loop; uvicorn knows the faster one where it is installed.
        factory = self._rest_server.config.get_loop_factory()
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(self._rest_server.start())
        finally:
            self._log.close()


def _silence_access_logs() -> None:
    """Leave one log line a request: ours."""
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)
