"""A call of the generated client comes in; its checked JSON answer goes out.

`kfp_server_api`, the REST client below `kfp.Client`, builds paths, queries and bodies. `kfp.Client`
itself is not used: constructing it reads the machine's kube config and context file, and prints.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gitops.adapters.kfp.connection import AnswerError, Connection, UnclearError
from gitops.adapters.kfp.wire import Answer, Wire

PAGE = 100
MOST_PAGES = 50


class Api:
    """The services of one server. Not for two threads at once."""

    def __init__(self, connection: Connection) -> None:
        import kfp_server_api as generated  # type: ignore[import-untyped]  # generated, without types

        self.connection = connection
        self.wire = Wire(connection)
        self._client = generated.ApiClient(
            generated.Configuration(host=connection.host.rstrip("/"))
        )
        self._client.request = self.wire.request
        self.models = generated
        self.experiments = generated.ExperimentServiceApi(self._client)
        self.pipelines = generated.PipelineServiceApi(self._client)
        self.uploads = generated.PipelineUploadServiceApi(self._client)
        self.runs = generated.RunServiceApi(self._client)
        self.schedules = generated.RecurringRunServiceApi(self._client)

    def read(self, method: Callable[..., Any], *args: object, **query: object) -> dict[str, Any]:
        """Return the answer to a GET, asked again a few times while it is unclear."""
        return self._persist(lambda: self._ask(method, *args, **query))

    def send(self, method: Callable[..., Any], *args: object, **query: object) -> dict[str, Any]:
        """Return the answer to a change, asked once; after an UnclearError it may have happened."""
        return self._ask(method, *args, **query)

    def read_text(self, path: str, **parts: str) -> str:
        """Return the plain text at a path that the generated client does not know, asked once."""
        answer: Answer = self._client.call_api(
            path, "GET", path_params=parts, _preload_content=False, _return_http_data_only=True
        )
        return answer.body.decode("utf-8", "replace")

    def find(
        self, method: Callable[..., Any], *args: object, **query: object
    ) -> dict[str, Any] | None:
        """Return the answer to a GET; None when the server says that there is no such thing."""
        try:
            return self.read(method, *args, **query)
        except AnswerError as error:
            if error.status == 404:
                return None
            raise

    def pages(
        self, method: Callable[..., Any], name: str, *args: object, **query: object
    ) -> Iterator[dict[str, Any]]:
        """Yield the items that a list's pages hold under `name`; OutsideError beyond 5,000."""
        token = ""
        for _ in range(MOST_PAGES):
            more = {"page_token": token} if token else {}
            body = self.read(method, *args, page_size=PAGE, **more, **query)
            items = body.get(name) or []
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise UnclearError(f"Kubeflow's list of {name} is not one")
            yield from items
            token = str(body.get("next_page_token") or "")
            if not token:
                return
        raise UnclearError(f"Kubeflow lists more than {PAGE * MOST_PAGES:,} {name}")

    def _ask(self, method: Callable[..., Any], *args: object, **query: object) -> dict[str, Any]:
        answer: Answer = method(*args, _preload_content=False, **query)
        return _parse_object(answer.body, self.connection.host)

    def _persist(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        for attempt in range(1, self.connection.attempts):
            try:
                return ask()
            except UnclearError as error:
                self.connection.sleep(self.wait_seconds(attempt, error.retry_after))
        return ask()

    def wait_seconds(self, attempt: int, asked: float | None = None) -> float:
        """Return how long to wait after the n-th failure: doubling, jittered, capped."""
        own = 0.5 * 2.0 ** min(attempt - 1, 10) * random.uniform(0.5, 1.5)  # noqa: S311  # jitter, no secret
        return min(max(own, asked or 0.0), self.connection.longest_wait)


def make_filter(key: str, operation: str, value: str) -> str:
    """Return a list filter with one predicate, as the API takes it."""
    predicate: Mapping[str, str] = {"key": key, "operation": operation, "string_value": value}
    return json.dumps({"predicates": [predicate]})


def _parse_object(body: bytes, host: str) -> dict[str, Any]:
    """Parse a JSON object; anything else, such as a sign-in page with status 200, is no answer."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnclearError(
            "this is not the answer of Kubeflow Pipelines",
            where=host,
            hint="a page for people answers there; look at run.host in gitops.yaml",
        )
    return found
