"""A compiled pipeline and its names come in; it lies on the server, once, read back and compared."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from gitops.adapters.kfp.api import Api, make_filter
from gitops.adapters.kfp.connection import AnswerError, UnclearError
from gitops.adapters.kfp.specs import check_read_back, parse_compiled
from gitops.errors import RefusedError
from gitops.supervision import Version

LOOKS = 3


def upload_version(api: Api, pipeline_name: str, version_name: str, content: bytes) -> Version:
    """Upload unless it lies there, read it back, compare; as `Cluster.upload` says."""
    parse_compiled(content)
    pipeline_id = _need_pipeline(api, pipeline_name)
    version_id = _need_version(api, pipeline_id, version_name, content)
    found = api.read(api.pipelines.pipeline_service_get_pipeline_version, pipeline_id, version_id)
    where = f"{pipeline_name}/{version_name}"
    check_read_back(content, found.get("pipeline_spec"), where)
    return Version(pipeline_id=pipeline_id, version_id=version_id)


def _need_pipeline(api: Api, name: str) -> str:
    namespace = api.connection.namespace

    def look() -> str:
        method = api.pipelines.pipeline_service_get_pipeline_by_name
        return _check_pipeline(api.find(method, name, namespace=namespace), name, namespace)

    def create() -> object:
        body = api.models.V2beta1Pipeline(display_name=name, namespace=namespace)
        return api.send(api.pipelines.pipeline_service_create_pipeline, body)

    return make_once(api, look, create, f"pipeline {name}")


def _check_pipeline(found: dict[str, Any] | None, name: str, namespace: str) -> str:
    """Return a pipeline's id, empty for none; another namespace's pipeline is refused."""
    if found is None:
        return ""
    # A server for one user knows no namespaces, and leaves this out.
    if found.get("namespace", "") not in ("", namespace):
        raise RefusedError(f"pipeline {name} belongs to another namespace", where=namespace)
    return str(found.get("pipeline_id") or "")


def _need_version(api: Api, pipeline_id: str, name: str, content: bytes) -> str:
    def look() -> str:
        listed = api.pages(
            api.pipelines.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline_id,
            filter=make_filter("display_name", "EQUALS", name),
        )
        found = [item for item in listed if item.get("display_name") == name]
        return str(found[0].get("pipeline_version_id") or "") if found else ""

    def create() -> object:
        with tempfile.TemporaryDirectory(prefix="gitops-kfp-") as folder:
            # The generated client takes a path; the server tells the format by the suffix.
            path = Path(folder) / "pipeline.yaml"
            path.write_bytes(content)
            method = api.uploads.upload_pipeline_version
            return api.send(method, str(path), name=name, pipelineid=pipeline_id)

    return make_once(api, look, create, f"version {name}")


def make_once(api: Api, look: Any, create: Any, what: str) -> str:
    """Return the id of a thing, created when looking finds none.

    After a reply that was lost, or "it exists already", looking again says what happened; nothing
    is created a second time while it might be there.
    """
    trouble: Exception | None = None
    for attempt in range(1, LOOKS + 1):
        if found := look():
            return str(found)
        try:
            create()
        except UnclearError as error:
            trouble = error
            api.connection.sleep(api.wait_seconds(attempt, error.retry_after))
        except AnswerError as error:
            if error.status != 409:
                raise
            trouble = error
        else:
            return _find_created(api, look, what)
    if found := look():
        return str(found)
    raise trouble or UnclearError(f"{what} cannot be created")


def _find_created(api: Api, look: Any, what: str) -> str:
    """Return the id of what the server said it created: what it does not show yet is not made again."""
    for turn in range(1, LOOKS + 1):
        if found := look():
            return str(found)
        api.connection.sleep(api.wait_seconds(turn))
    raise UnclearError(f"{what} was created, but Kubeflow does not show it")
