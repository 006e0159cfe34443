"""A release comes in; the InferenceService that serves it, and the commit that says so, go out.

Pure. What belongs to one release stands at the predictor, not at the service: KServe copies the
service's own annotations and labels into every pod, so one that changes there restarts them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from gitops.digest import make_digest
from gitops.engines import Kserve, KserveMode
from gitops.errors import InputError, RefusedError
from gitops.release import PlannedCommit, Release, Target
from gitops.rollout import find_registered
from gitops.source import Source, parse_source, render_source

if TYPE_CHECKING:
    from gitops.config import ModelConfig

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
STOP = f"{GROUP}/stop"
ATTEMPT = "gitops/attempt"
# Runtimes of KServe's own that serve a released file: its format, and its name in the bundle. They
# know nothing of identities.
STOCK_RUNTIMES = {"kserve-xgbserver": ("xgboost", "model.ubj")}

_MODES = {KserveMode.SERVERLESS: "Serverless", KserveMode.STANDARD: "Standard"}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_PROJECT = re.compile(r"[\w.~-]+(?:/[\w.~-]+)+", re.ASCII)
_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where pods find the repository: host, with a port if it is not the usual one, and project."""

    host: str
    project: str


def make_origin(url: str) -> Origin:
    """Read host and project from the address of a Git remote; credentials in it are dropped.

    Raises:
        InputError: a path, or anything else that a pod cannot reach.
    """
    scp = _SCP.fullmatch(url)
    if "://" not in url and scp:
        host, project = scp.group(1), scp.group(2)
    else:
        host, project = _split_url(url)
    project = project.strip("/").removesuffix(".git")
    is_plain = _PROJECT.fullmatch(project) and not {".", ".."} & set(project.split("/"))
    if not _HOST.fullmatch(host) or not is_plain:
        raise InputError(
            "pods cannot fetch from this Git remote",
            where="origin",
            hint="serve from a remote such as https://gitlab.example.org/group/project.git",
        )
    return Origin(host=host.lower(), project=project)


def _split_url(url: str) -> tuple[str, str]:
    """Return host and path; the port of ssh is not the one that pods use."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port and parts.scheme != "ssh" else ""
    except ValueError:
        return "", ""
    known = parts.scheme in {"https", "http", "ssh"}
    return (f"{parts.hostname or ''}{port}", parts.path) if known else ("", "")


def make_storage_uri(model: ModelConfig, kserve: Kserve, release: Release, origin: Origin) -> str:
    """Return the address of the released bundle, or of its one file for a stock runtime.

    Raises InputError or RefusedError when pods would not take it.
    """
    path = model.pointer.removesuffix(".dvc")
    if kserve.runtime in STOCK_RUNTIMES:
        path += f"/{STOCK_RUNTIMES[kserve.runtime][1]}"
    source = Source(host=origin.host, repository=origin.project, commit=release.commit, path=path)
    parse_source(render_source(source))
    return render_source(source)


def find_repository(predictor: Mapping[str, Any]) -> str:
    """Return host and project that a predictor's bytes come from; empty unless it is `dvc://`."""
    model = predictor.get("model")
    uri = model.get("storageUri") if isinstance(model, Mapping) else None
    try:
        source = parse_source(uri) if isinstance(uri, str) else None
    except InputError:
        return ""
    return f"{source.host}/{source.repository}" if source else ""


def render_service(
    model: ModelConfig, kserve: Kserve, release: Release, origin: Origin
) -> dict[str, Any]:
    """Return the InferenceService of a release, as it is once it has all the traffic."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": model.serve.name,
            "namespace": model.serve.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "gitops",
                "app.kubernetes.io/name": model.serve.name,
            },
            "annotations": _annotations(kserve),
        },
        "spec": {"predictor": _render_predictor(model, kserve, release, origin)},
    }


def _annotations(kserve: Kserve) -> dict[str, str]:
    annotations = {f"{GROUP}/deploymentMode": _MODES[kserve.mode]}
    if kserve.mode is KserveMode.SERVERLESS:
        # The address of a revision without traffic.
        annotations[f"{GROUP}/enable-tag-routing"] = "true"
    return annotations


def _render_predictor(
    model: ModelConfig, kserve: Kserve, release: Release, origin: Origin
) -> dict[str, Any]:
    stock = STOCK_RUNTIMES.get(kserve.runtime)
    resources = {"cpu": kserve.cpu, "memory": kserve.memory}
    predictor = {
        "annotations": {
            "gitops/bundle": release.manifest.bundle,
            "gitops/commit": release.commit,
            "gitops/model": release.model,
            "gitops/release": release.tag,
        },
        "labels": {"app.kubernetes.io/version": release.version},
        "minReplicas": kserve.min_replicas,
        "maxReplicas": max(kserve.min_replicas, kserve.max_replicas),
        "serviceAccountName": kserve.service_account,
        "model": {
            "modelFormat": {"name": stock[0] if stock else "gitops"},
            "runtime": kserve.runtime,
            "protocolVersion": "v1",
            "storageUri": make_storage_uri(model, kserve, release, origin),
            "resources": {"limits": resources, "requests": dict(resources)},
        },
    }
    if kserve.mode is KserveMode.STANDARD:
        # A Deployment of its own for each content, so that promotion restarts nothing.
        predictor["name"] = "r" + make_digest(predictor).removeprefix("sha256:")[:10]
    return predictor


def render_bytes(service: dict[str, Any]) -> bytes:
    """Return the manifest as a file; the same service gives the same bytes."""
    text = yaml.dump(service, Dumper=_Dumper, sort_keys=True, width=1000, allow_unicode=True)
    return f"# Written by `gitops rollout`: what is changed here comes back.\n{text}".encode()


class _Dumper(yaml.SafeDumper):
    """Quotes what another reader of YAML could take for a number: half of a commit id is one."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        del data
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_word = re.fullmatch(r"[A-Za-z][\w ./:@+-]*", text, re.ASCII)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_word else '"')


_Dumper.add_representer(str, _represent_text)


def plan_served(
    target: Target, current: bytes | None, *, release: Release, path: str, content: bytes
) -> PlannedCommit | Release:
    """Say what to push so that the target branch carries the manifest of a release's service.

    Raises RefusedError when the branch carries another release by now.
    """
    carried, _ = find_registered(target, release.model)
    if (carried.commit, carried.manifest) != (release.commit, release.manifest):
        raise RefusedError(
            f"superseded: {target.branch} now carries {release.model} {carried.manifest.version}",
            hint=f"run: gitops rollout {release.model}",
        )
    if current == content:
        return release
    trailers = f"Serves: {release.tag}\nServes-Commit: {release.commit}\n"
    return PlannedCommit(
        parent=target.commit,
        files=((path, content),),
        message=f"Serve {release.model} {release.version}\n\n{trailers}",
        manifest=release.manifest,
    )
