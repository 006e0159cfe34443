"""An InferenceService by name comes in; what the cluster holds of it, and who answers for it, goes out.

The only user of the `kubernetes` client, which costs a second to import and is imported where it is used.
"""

from gitops.adapters.kserve.connection import Connection, Patience, open_cluster
from gitops.adapters.kserve.endpoints import Endpoint, HttpEndpoint, ProxyEndpoint
from gitops.adapters.kserve.requests import ask_identity, replay, take_sample
from gitops.adapters.kserve.service import ClusterService
from gitops.adapters.kserve.trouble import TakenError

__all__ = [
    "ClusterService",
    "Connection",
    "Endpoint",
    "HttpEndpoint",
    "Patience",
    "ProxyEndpoint",
    "TakenError",
    "ask_identity",
    "open_cluster",
    "replay",
    "take_sample",
]
