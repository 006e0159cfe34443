"""The caller's environment comes in; requests to the cluster's API server, and its answers, go out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitops.adapters.kserve.trouble import UnclearError, explain_status
from gitops.errors import InputError

NOT_FOUND = 404
ANSWER_LIMIT = 64 << 20
_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How patient a rollout is.

    Attributes:
        connect: seconds for a connection to stand.
        answer: seconds of silence from a server.
        poll: seconds between two looks at the cluster.
        attempts: for a request that may be repeated, the first included.
        wait: seconds between the first two attempts; doubles with each further one.
        lag: seconds that a gateway may take to follow what the cluster's status already says.
    """

    connect: float = 5.0
    answer: float = 30.0
    poll: float = 1.0
    attempts: int = 5
    wait: float = 0.5
    lag: float = 30.0


def open_cluster(environ: Mapping[str, str], patience: Patience, *, token: str = "") -> Connection:
    """Find the cluster: `KUBECONFIG` where somebody set it, else the service account of this pod.

    Args:
        environ: names the cluster.
        patience: with it.
        token: speaks for somebody else than these do; empty for nobody else. Kubeflow gives all
            steps of a run one account, and what a rollout may do is the rollout's alone.

    Raises:
        InputError: neither is there, or the file cannot be used.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        _load_settings(settings, environ)
    except (config.ConfigException, OSError, ValueError) as error:
        raise InputError(
            "there is no usable way to a cluster",
            where=environ.get("KUBECONFIG", ""),
            hint="set KUBECONFIG to a file, run this in a pod, or set `apply: false` and let "
            "Argo CD or Flux apply what is committed",
        ) from error
    if token:
        settings.api_key = {"authorization": f"Bearer {token}"}
        settings.refresh_api_key_hook = None
    # Not even one redirect: the token is for this server.
    settings.retries = False
    return Connection(client.ApiClient(settings), patience)


def _load_settings(settings: Any, environ: Mapping[str, str]) -> None:
    from kubernetes import config
    from kubernetes.config import incluster_config

    if environ.get("KUBECONFIG"):
        config.load_kube_config(
            environ["KUBECONFIG"], client_configuration=settings, persist_config=False
        )
        return
    loader = incluster_config.InClusterConfigLoader(
        incluster_config.SERVICE_TOKEN_FILENAME,
        incluster_config.SERVICE_CERT_FILENAME,
        environ=dict(environ),
    )
    loader.load_and_set(settings)


class Connection:
    """Requests to one API server; its client renews tokens by itself."""

    def __init__(self, client: Any, patience: Patience) -> None:
        self._client, self.patience = client, patience

    def ask(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        resource: str,
        query: tuple[tuple[str, str], ...] = (),
        body: Mapping[str, Any] | None = None,
        is_apply: bool = False,
        attempts: int | None = None,
    ) -> bytes | None:
        """Ask, and ask again while the answer is unclear; None is 404.

        Only what may be carried out twice comes here: reads, predictions, and server-side apply.

        Raises:
            InputError, OutsideError, TakenError: what `explain_status` makes of the answer.
        """
        left = self.patience.attempts if attempts is None else attempts
        wait = self.patience.wait
        while True:
            left -= 1
            try:
                status, content = self._send(method, path, query, body, is_apply=is_apply)
                if status == NOT_FOUND:
                    return None
                if 200 <= status < 300:
                    return content
                raise explain_status(status, content, verb=verb, resource=resource)
            except UnclearError:
                if left <= 0:
                    raise
            time.sleep(wait)
            wait *= 2

    def _send(
        self,
        method: str,
        path: str,
        query: tuple[tuple[str, str], ...],
        body: Mapping[str, Any] | None,
        *,
        is_apply: bool,
    ) -> tuple[int, bytes]:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json"}
        headers["Content-Type"] = _APPLY if is_apply else "application/json"
        try:
            answer = self._client.call_api(
                path,
                method,
                query_params=list(query),
                header_params=headers,
                body=None if body is None else dict(body),
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(self.patience.connect, self.patience.answer),
            )
            content = bytes(answer.read(ANSWER_LIMIT))
            answer.release_conn()
        except ApiException as error:
            if not error.status:
                raise _no_answer(str(error.reason)) from None
            return int(error.status), _as_bytes(error.body)
        except (HTTPError, OSError) as error:
            raise _no_answer(type(error).__name__) from None
        return int(answer.status), content


def _as_bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else str(body or "").encode()


def _no_answer(why: str) -> UnclearError:
    return UnclearError(
        f"the cluster's API server does not answer: {why[:200]}",
        hint="check the network and KUBECONFIG, then run it again: it goes on where it stopped",
    )


def parse_body(content: bytes) -> dict[str, Any]:
    """Read a JSON object; raise UnclearError for anything else."""
    try:
        body = json.loads(content)
    except ValueError as error:
        raise UnclearError("the answer is not JSON") from error
    if not isinstance(body, dict):
        raise UnclearError("the answer is not a JSON object")
    return body
