"""A team's code may say where and how long it runs, and takes nothing that it is not granted."""

# No postponed annotations here: KFP reads the annotations of components as they are.

from pathlib import Path
from typing import Any

import pytest
from kfp import dsl, kubernetes

from gitops import steps
from gitops.adapters.kfp.compilation import read_compiled, write_compiled
from gitops.engines import StepPlacement, StepSecret
from gitops.errors import InputError
from tests.compilation_kit import (
    LIMITED,
    PLACED,
    RELEASE,
    STORE,
    Change,
    compile_with,
    my_look,
    place,
    plain,
)

ALLOWED: dict[str, tuple[Change, Any]] = {
    "node": (
        lambda task: kubernetes.add_node_selector(task, "disk", "ssd"),
        {"nodeSelector": {"labels": {"disk": "ssd"}}},
    ),
    "toleration": (
        lambda task: kubernetes.add_toleration(task, "gpu", "Exists"),
        {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
    ),
    "pull policy": (
        lambda task: kubernetes.set_image_pull_policy(task, "Always"),
        {"imagePullPolicy": "Always"},
    ),
    "time": (
        lambda task: kubernetes.set_timeout(task, 600),
        {"activeDeadlineSeconds": "600"},
    ),
}


@pytest.mark.parametrize(("change", "expected"), ALLOWED.values(), ids=ALLOWED)
def test_a_team_may_say_where_and_how_long(change: Change, expected: Any, tmp_path: Path) -> None:
    platform = place(compile_with(tmp_path, change)).platform
    assert platform is not None
    attached = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    allowed = {**LIMITED, **expected}
    assert attached == {"exec-fit": allowed, "exec-fit-2": allowed, "exec-my-look": LIMITED}


def test_no_pod_outlives_the_deadline_of_gitops_yaml_whatever_its_code_asks_for(
    tmp_path: Path,
) -> None:
    content = compile_with(tmp_path, lambda task: kubernetes.set_timeout(task, 10**6))
    platform = place(content).platform
    assert platform is not None
    attached = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {body["activeDeadlineSeconds"] for body in attached.values()} == {"21600"}


def test_gitops_yaml_adds_to_what_a_team_says_and_wins(tmp_path: Path) -> None:
    def ask(task: dsl.PipelineTask) -> None:
        kubernetes.add_node_selector(task, "disk", "ssd")
        kubernetes.add_node_selector(task, "pool", "cheap")
        kubernetes.add_toleration(task, "spot", "Exists")
        task.set_cpu_limit("64")

    placed = place(compile_with(tmp_path, ask), fit=PLACED)
    assert placed.platform is not None
    attached = placed.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-fit"]
    assert attached["nodeSelector"]["labels"] == {"disk": "ssd", "pool": "train"}
    assert [each["key"] for each in attached["tolerations"]] == ["spot", "gpu"]
    resources = placed.spec["deploymentSpec"]["executors"]["exec-fit"]["container"]["resources"]
    assert resources["resourceCpuLimit"] == "1500m"


REFUSED: dict[str, tuple[Change, str]] = {
    "secret as variable": (
        lambda task: kubernetes.use_secret_as_env(task, "release", {"token": "T"}),
        "the secret 'release'",
    ),
    "secret named by a step": (
        lambda task: kubernetes.use_secret_as_env(task, my_look(text="x").output, {"token": "T"}),
        "the secret",
    ),
    "secret as files": (
        lambda task: kubernetes.use_secret_as_volume(task, "release", "/secret"),
        "secretAsVolume",
    ),
    "image pull secret": (
        lambda task: kubernetes.set_image_pull_secrets(task, ["release"]),
        "imagePullSecret",
    ),
    "volume": (lambda task: kubernetes.mount_pvc(task, "models", "/models"), "pvcMount"),
    "ephemeral volume": (
        lambda task: kubernetes.add_ephemeral_volume(task, "v", "/v", ["ReadWriteOnce"], "1Gi"),
        "genericEphemeralVolume",
    ),
    "empty folder": (lambda task: kubernetes.empty_dir_mount(task, "v", "/v"), "emptyDirMounts"),
    "settings as files": (
        lambda task: kubernetes.use_config_map_as_volume(task, "settings", "/settings"),
        "configMapAsVolume",
    ),
    "settings as variable": (
        lambda task: kubernetes.use_config_map_as_env(task, "settings", {"a": "A"}),
        "configMapAsEnv",
    ),
    "field of the pod": (
        lambda task: kubernetes.use_field_path_as_env(task, "A", "spec.serviceAccountName"),
        "fieldPathAsEnv",
    ),
    "another user": (
        lambda task: kubernetes.set_security_context(task, run_as_user=0),
        "securityContext",
    ),
    "label": (
        lambda task: kubernetes.add_pod_label(task, "access-ml-pipeline", "true"),
        "podMetadata",
    ),
    "annotation": (
        lambda task: kubernetes.add_pod_annotation(
            task, "vault.hashicorp.com/agent-inject", "true"
        ),
        "podMetadata",
    ),
    "node by an input": (
        lambda task: kubernetes.add_node_selector_json(task, {"a": "b"}),
        "nodeSelectorJson",
    ),
}


@pytest.mark.parametrize(("change", "asked"), REFUSED.values(), ids=REFUSED)
def test_a_merge_request_takes_nothing_that_it_is_not_granted(
    change: Change, asked: str, tmp_path: Path
) -> None:
    """The release step's grant is there, and is not `fit`'s."""
    content = compile_with(tmp_path, change)
    with pytest.raises(InputError, match=f"'fit'.*{asked}"):
        place(content, release=StepPlacement(secrets=(RELEASE,)))


def test_a_team_may_repeat_exactly_what_it_is_granted(tmp_path: Path) -> None:
    def ask(task: dsl.PipelineTask) -> None:
        kubernetes.use_secret_as_env(task, "store", {"key": "AWS_SECRET_ACCESS_KEY"})

    granted = StepPlacement(secrets=(STORE,))
    content = compile_with(tmp_path, ask)
    assert place(content, fit=granted).content == place(plain(tmp_path), fit=granted).content
    with pytest.raises(InputError, match="'fit' asks for the secret 'store'"):
        place(content, my_look=granted)
    other = StepPlacement(secrets=(StepSecret(name="store", variables=(("key", "OTHER"),)),))
    with pytest.raises(InputError, match="'fit' asks for the secret 'store'"):
        place(content, fit=other)


def test_code_attaches_nothing_to_the_toolkits_steps(tmp_path: Path) -> None:
    @dsl.pipeline(name="experimental")  # type: ignore[untyped-decorator]  # kfp ships no types
    def experimental(request: dict[str, Any]) -> None:
        kubernetes.add_node_selector(
            steps.prepare(request=request), "kubernetes.io/hostname", "evil"
        )

    write_compiled(experimental, tmp_path / "evil.yaml")
    with pytest.raises(InputError, match="code attaches nothing to it"):
        place(read_compiled(tmp_path / "evil.yaml"))


def test_a_request_through_conditions_and_loops_is_the_runs_own(tmp_path: Path) -> None:
    @dsl.pipeline(name="experimental")  # type: ignore[untyped-decorator]  # kfp ships no types
    def experimental(request: dict[str, Any], text: str) -> None:
        with dsl.If(text == "yes"), dsl.ParallelFor([1, 2]):
            steps.prepare(request=request)

    write_compiled(experimental, tmp_path / "nested.yaml")
    assert "exec-prepare" in str(place(read_compiled(tmp_path / "nested.yaml")).spec)


def test_a_request_of_ones_own_is_refused(tmp_path: Path) -> None:
    @dsl.pipeline(name="experimental")  # type: ignore[untyped-decorator]  # kfp ships no types
    def experimental(request: dict[str, Any]) -> None:
        with dsl.ParallelFor([{"origin": "https://evil.example"}]) as forged:
            steps.prepare(request=forged)

    write_compiled(experimental, tmp_path / "forged.yaml")
    with pytest.raises(InputError, match="not the run's own"):
        place(read_compiled(tmp_path / "forged.yaml"))
