"""Every pod of kubernetes/ is limited and powerless, and sees no secret that it does not need."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.kustomize import Body
from tests.manifests_kit import KUBERNETES, containers, objects, one, overlay
from tests.test_rbac import of_kind

__all__ = ["objects", "overlay"]


def test_every_container_is_limited_and_powerless(objects: list[Body]) -> None:
    """The restricted profile of Kubernetes' pod security, and a root file system that is read only."""
    for name, pod, container in containers(objects):
        for part in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"][part]), name
        context = pod.get("securityContext", {}) | container["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["privileged"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not set(pod) & {"hostNetwork", "hostPID", "hostIPC"}, name
        for volume in pod.get("volumes", ()):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir"}, name


def test_images_are_named_by_digest_and_in_one_place(overlay: Path, objects: list[Body]) -> None:
    content = yaml.safe_load((overlay / "kustomization.yaml").read_text("utf-8"))
    named = {f"{each['newName']}@{each['digest']}" for each in content["images"]}
    used = {container["image"] for _name, _pod, container in containers(objects)}
    assert used == named
    assert all(re.fullmatch(r"[a-z0-9.:/-]+@sha256:[0-9a-f]{64}", image) for image in used)


def test_the_committed_digests_are_nobodys(objects: list[Body]) -> None:
    """Nobody deploys by accident an image that nobody looked at: a pull of zeros fails, and says so."""
    for _name, _pod, container in containers(objects):
        assert container["image"].endswith("@sha256:" + "0" * 64)


def test_the_initializer_runs_the_servers_own_image(objects: list[Body]) -> None:
    runtime = one(objects, "ServingRuntime", "gitops-serve")["spec"]["containers"][0]
    initializer = one(objects, "ClusterStorageContainer", "gitops-fetch")["spec"]["container"]
    assert initializer["image"] == runtime["image"] != "gitops"


def test_secrets_are_named_and_never_written_down(objects: list[Body]) -> None:
    assert not of_kind(objects, "Secret")
    for path in KUBERNETES.rglob("*.y*ml"):
        for body in yaml.safe_load_all(path.read_text("utf-8")):
            assert (body or {}).get("kind") != "Secret", path
    for name, _pod, container in containers(objects):
        for variable in container.get("env", ()):
            if re.search(r"TOKEN|SECRET|PASSWORD|KEY", variable["name"]):
                assert "value" not in variable, f"{name}: {variable['name']}"
                assert variable["valueFrom"]["secretKeyRef"]["key"] == variable["name"]


def test_only_the_initializer_sees_the_secret_that_fetches(objects: list[Body]) -> None:
    for name, _pod, container in containers(objects):
        secrets = {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for variable in container.get("env", ())
            if "valueFrom" in variable
        }
        assert secrets == ({"gitops-fetch"} if name.endswith("/storage-initializer") else set())


def test_every_namespace_of_ours_has_a_profile_limits_and_a_quota(objects: list[Body]) -> None:
    for namespace in of_kind(objects, "Namespace"):
        name, labels = namespace["metadata"]["name"], namespace["metadata"]["labels"]
        level = "restricted" if name == "models" else "baseline"
        assert labels["pod-security.kubernetes.io/enforce"] == level
        assert labels["pod-security.kubernetes.io/warn"] == "restricted"
        present = {each["kind"] for each in objects if each["metadata"].get("namespace") == name}
        assert {"LimitRange", "ResourceQuota", "NetworkPolicy"} <= present
