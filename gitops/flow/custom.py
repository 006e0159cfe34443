"""The policy in force comes in; the functions of its custom metrics, from the target branch, go out.

Only reviewed code is imported here: a function that the target branch does not have is left out, and
the gate refuses its rule by name.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from gitops.errors import InputError
from gitops.flow.workspace import Workspace
from gitops.gate.evidence import CustomMetric
from gitops.policy import Policy

_LIMIT = 1 << 20


def read_custom_metrics(workspace: Workspace, policy: Policy) -> dict[str, CustomMetric]:
    """Return the functions of a policy's custom metrics by the name of the metric."""
    found = {}
    for rule in policy.metrics:
        if rule.function is not None and workspace.request.target:
            function = _read_function(workspace, rule.function)
            if function is not None:
                found[rule.metric] = function
    return found


def _read_function(workspace: Workspace, place: str) -> CustomMetric | None:
    file, _, name = place.rpartition(":")
    commit = workspace.request.target
    content = workspace.repository.read_file(commit, file, limit=_LIMIT)
    if content is None:
        return None
    function = getattr(_import(content, file, commit), name, None)
    return function if callable(function) else None


def _import(content: bytes, file: str, commit: str) -> Any:
    """Import one file of the target branch; what it imports must be installed."""
    with tempfile.TemporaryDirectory(prefix="gitops-metric-") as folder:
        path = Path(folder) / Path(file).name
        path.write_bytes(content)
        name = f"gitops_metric_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise InputError("not a Python file", where=f"{commit[:10]}:{file}")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise InputError(
                f"a custom metric cannot be imported: {type(error).__name__}: {error}",
                where=f"{commit[:10]}:{file}",
            ) from error
    return module
