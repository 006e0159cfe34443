"""One InferenceService: read as the cluster holds it, applied, and asked by each of its addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitops.adapters.kserve.connection import Connection, Patience, parse_body
from gitops.adapters.kserve.endpoints import Endpoint, ProxyEndpoint, make_endpoint
from gitops.errors import InputError
from gitops.inference import GROUP, PLURAL, VERSION
from gitops.live import LiveService, parse_live

MANAGER = "gitops"


class ClusterService:
    """One InferenceService of a cluster."""

    def __init__(self, connection: Connection, *, namespace: str, name: str, gateway: str) -> None:
        self._connection, self.namespace, self.name = connection, namespace, name
        self._gateway = gateway
        self._folder = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        self._resource = f"{PLURAL}.{GROUP} in {namespace}"

    @property
    def patience(self) -> Patience:
        """How patient its connection is."""
        return self._connection.patience

    def read(self) -> LiveService | None:
        """Return what the cluster holds, None when there is no such service."""
        content = self._connection.ask(
            "GET", f"{self._folder}/{self.name}", verb="get", resource=self._resource
        )
        return None if content is None else parse_live(parse_body(content))

    def apply(self, service: Mapping[str, Any], *, force: bool) -> None:
        """Apply our fields by server-side apply: what we applied before and leave out now is removed.

        Fields of others stay theirs. `force` takes back those of ours that somebody else has set.
        Carried out twice it changes nothing, so it is repeated when the reply was lost.

        Raises:
            TakenError: somebody else has set a field of ours to something else, without `force`.
        """
        query = (("fieldManager", MANAGER), ("force", "true" if force else "false"))
        content = self._connection.ask(
            "PATCH",
            f"{self._folder}/{self.name}",
            verb="patch",
            resource=self._resource,
            query=query,
            body=service,
            is_apply=True,
        )
        if content is None:
            raise InputError(
                f"the cluster has no namespace {self.namespace}, or no KServe",
                hint="see kubernetes/ for what a cluster needs",
            )

    def open_url(self, url: str) -> Endpoint:
        """Return the endpoint of an address that the status names."""
        return make_endpoint(url, self._gateway, self._connection.patience.answer)

    def open_deployment(self, predictor: str) -> Endpoint:
        """Return the endpoint of one predictor of the Standard mode, by its name; it may be empty."""
        parts = (self.name, predictor, "predictor")
        return ProxyEndpoint(
            connection=self._connection,
            namespace=self.namespace,
            service="-".join(filter(None, parts)),
        )
