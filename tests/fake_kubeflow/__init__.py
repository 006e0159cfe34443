"""Kubeflow Pipelines for tests: its REST API on 127.0.0.1, runs that execute the real steps, and faults."""

from tests.fake_kubeflow.faults import FaultKind
from tests.fake_kubeflow.running import make_connection, serve_fake_kubeflow
from tests.fake_kubeflow.server import FakeKubeflow
from tests.fake_kubeflow.world import Mode

__all__ = ["FakeKubeflow", "FaultKind", "Mode", "make_connection", "serve_fake_kubeflow"]
