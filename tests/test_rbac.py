"""Who may do what on the cluster: the whole table, written down twice and compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kustomize import Body, build

OVERLAYS = Path(__file__).parent.parent / "kubernetes" / "overlays"

# What any pod of a Kubeflow pipeline needs; its steps themselves need nothing of Kubernetes.
PIPELINE = {
    "argoproj.io/workflowtaskresults": {"create", "patch"},
    "/configmaps:kfp-launcher": {"get"},
    "/secrets:mlpipeline-minio-artifact": {"get"},
}
RUNS = {
    "pipelines.kubeflow.org/pipelines": {"get", "list", "create"},
    "pipelines.kubeflow.org/experiments": {"get", "list", "create"},
    "pipelines.kubeflow.org/runs": {"get", "list", "create", "terminate", "readLog"},
}
ROLLOUT = {
    "serving.kserve.io/inferenceservices": {"get", "list", "watch", "create", "patch"},
    "/services/proxy": {"get", "create"},
}
SERVING: dict[str, dict[str, set[str]]] = {
    "models/gitops-client": {},
    "models/gitops-rollout": ROLLOUT,
    "models/gitops-serve": {},
}
# Namespace and name of an account; then what it may do, in its own namespace and nowhere else.
RIGHTS = {
    "minikube": {
        **SERVING,
        "kubeflow/gitops-experiment": PIPELINE,
        "kubeflow/gitops-release": PIPELINE,
    },
    "production": {
        **SERVING,
        "gitops-experiments/gitops-ci": RUNS,
        "gitops-experiments/gitops-experiment": PIPELINE,
        "gitops-production/gitops-ci": {
            **RUNS,
            "pipelines.kubeflow.org/jobs": {"get", "list", "create", "delete"},
        },
        "gitops-production/gitops-release": PIPELINE,
    },
}
# Kubeflow's launcher in these pods speaks to Kubernetes; all others have no token at all.
WITH_TOKEN = {"gitops-experiment", "gitops-release"}


@pytest.fixture(params=sorted(RIGHTS))
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def objects(overlay: str) -> list[Body]:
    return build(OVERLAYS / overlay)


def of_kind(objects: list[Body], *kinds: str) -> list[Body]:
    return [each for each in objects if each["kind"] in kinds]


def place(body: Body) -> str:
    return f"{body['metadata'].get('namespace', '')}/{body['metadata']['name']}"


def rights(rules: list[Body]) -> Iterator[tuple[str, set[str]]]:
    for rule in rules:
        only = "".join(f":{name}" for name in rule.get("resourceNames", ()))
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield f"{group}/{resource}{only}", set(rule["verbs"])


def read_table(objects: list[Body]) -> dict[str, dict[str, set[str]]]:
    """Return what each account may do, by following every binding to its role."""
    table: dict[str, dict[str, set[str]]] = {
        place(each): {} for each in of_kind(objects, "ServiceAccount")
    }
    roles = {place(each): each["rules"] for each in of_kind(objects, "Role")}
    for binding in of_kind(objects, "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        assert binding["roleRef"]["kind"] == "Role"
        for subject in binding["subjects"]:
            assert subject["kind"] == "ServiceAccount"
            assert subject["namespace"] == namespace, "rights stay within one namespace"
            held = table[f"{namespace}/{subject['name']}"]
            for what, verbs in rights(roles[f"{namespace}/{binding['roleRef']['name']}"]):
                held[what] = held.get(what, set()) | verbs
    return table


def test_each_account_may_do_exactly_this(overlay: str, objects: list[Body]) -> None:
    assert read_table(objects) == RIGHTS[overlay]


def test_no_rule_says_everything(objects: list[Body]) -> None:
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
            assert all(values and "*" not in "".join(values) for values in rule.values()), rule


def test_nothing_is_granted_across_the_cluster(objects: list[Body]) -> None:
    """The ClusterStorageContainer is the one object of the whole cluster, and it grants nothing."""
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")
    assert {each["kind"] for each in objects if "namespace" not in each["metadata"]} == {
        "ClusterStorageContainer",
        "Namespace",
    }


def test_a_secret_is_readable_by_name_only(objects: list[Body]) -> None:
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"] == ["mlpipeline-minio-artifact"]


def test_no_role_and_no_account_is_left_over(objects: list[Body]) -> None:
    bound = {
        f"{each['metadata']['namespace']}/{each['roleRef']['name']}"
        for each in of_kind(objects, "RoleBinding")
    }
    assert bound == {place(each) for each in of_kind(objects, "Role")}


def test_a_token_is_mounted_only_where_kubeflow_needs_one(objects: list[Body]) -> None:
    for account in of_kind(objects, "ServiceAccount"):
        expected = account["metadata"]["name"] in WITH_TOKEN
        assert account["automountServiceAccountToken"] is expected, place(account)
    for deployment in of_kind(objects, "Deployment"):
        pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False


def test_training_code_cannot_reach_what_is_served() -> None:
    """Kubeflow gives every step of a run one account; none of those may touch a model that serves."""
    for table in RIGHTS.values():
        able = {account for account, held in table.items() if held.keys() & ROLLOUT.keys()}
        assert able == {"models/gitops-rollout"}


def test_merge_requests_cannot_start_a_production_run() -> None:
    """Each namespace has its own gitops-ci; the one of experiments has no rights in production."""
    table = read_table(build(OVERLAYS / "production"))
    assert "pipelines.kubeflow.org/jobs" not in table["gitops-experiments/gitops-ci"]
    assert "pipelines.kubeflow.org/runs" in table["gitops-production/gitops-ci"]


def test_a_token_of_one_namespace_is_not_accepted_in_another(tmp_path: Path) -> None:
    """The reading of the table itself: a binding across namespaces would be seen."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "x", "namespace": "models"},
        "roleRef": {"kind": "Role", "name": "gitops-rollout"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "gitops-release", "namespace": "gitops-production"}
        ],
    }
    with pytest.raises(AssertionError, match="one namespace"):
        read_table([*build(OVERLAYS / "production"), binding])
