"""A server for the length of a block."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitops.adapters.kfp.cluster import Connection
from tests.fake_kubeflow.server import FakeKubeflow
from tests.fake_kubeflow.world import Mode

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")


@contextmanager
def serve_fake_kubeflow(
    folder: Path,
    *,
    mode: Mode = Mode.EXECUTE,
    secrets: dict[str, dict[str, str]] | None = None,
    environment: dict[str, str] | None = None,
    port: int = 0,
) -> Iterator[FakeKubeflow]:
    """Run an empty Kubeflow Pipelines until the block ends.

    Args:
        folder: where runs are executed.
        mode: what happens to runs.
        secrets: Kubernetes secrets: {name: {key: value}}.
        environment: what every pod has beside PATH and HOME.
    """
    # Steps leave their code in the temporary folder; it goes with the test's.
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    fake = FakeKubeflow(folder, port)
    fake.world.mode = mode
    fake.world.secrets = secrets or {}
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    fake.world.environment = {**kept, "HOME": str(home), "TMPDIR": str(home), **(environment or {})}
    thread = threading.Thread(target=fake.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.stop()
        fake.shutdown()
        fake.server_close()
        thread.join()


def make_connection(fake: FakeKubeflow, **facts: Any) -> Connection:
    """Return a connection to the fake that does not really wait."""
    given: dict[str, Any] = {
        "host": fake.url,
        "namespace": "team-a",
        "read_token": lambda: fake.token,
        "timeout": 10.0,
        "sleep": lambda _: None,
    }
    return Connection(**{**given, **facts})
