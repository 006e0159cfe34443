"""A placement is written in the very form that KFP itself writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]  # no stubs here
from kfp import dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from gitops.engines import IMAGE, StepPlacement
from tests.compilation_kit import (
    DIGEST,
    LIMITED,
    PLACED,
    RELEASE,
    STORE,
    compile_with,
    place,
    plain,
    production,
)

__all__ = ["production"]


def by_kfp(task: dsl.PipelineTask) -> None:
    """Say with KFP's own functions what `PLACED` says."""
    task.set_cpu_limit("1500m").set_cpu_request("1500m")
    task.set_memory_limit("4Gi").set_memory_request("4Gi")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
    task.set_retry(3)
    kubernetes.set_timeout(task, 21600)
    kubernetes.add_node_selector(task, "pool", "train")
    kubernetes.add_toleration(task, "gpu", "Equal", "yes", "NoSchedule")
    kubernetes.add_toleration(task, "spot", "Exists")
    for secret in (STORE, RELEASE):
        kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables))


def test_a_placement_is_written_exactly_as_kfp_writes_it(tmp_path: Path) -> None:
    placed = place(plain(tmp_path), fit=PLACED)
    written = compile_with(tmp_path, by_kfp).replace(IMAGE.encode(), DIGEST.encode())
    spec, platform = yaml.safe_load_all(written)
    # The step beside it, of which nothing is said, may not run for ever either.
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-my-look"] = LIMITED
    assert [placed.spec, placed.platform] == [spec, platform]


@pytest.mark.parametrize("memory", ["1000000", "2M", "2Mi", "3G", "3Gi", "1T", "1Ti", "7Ki"])
@pytest.mark.parametrize("cpu", ["2", "0.5", "250m"])
def test_amounts_are_kfps_own(tmp_path: Path, cpu: str, memory: str) -> None:
    def ask(task: dsl.PipelineTask) -> None:
        task.set_cpu_limit(cpu).set_cpu_request(cpu)
        task.set_memory_limit(memory).set_memory_request(memory)

    placed = place(plain(tmp_path), fit=StepPlacement(cpu=cpu, memory=memory))
    theirs = next(yaml.safe_load_all(compile_with(tmp_path, ask)))
    for label in ("exec-fit", "exec-fit-2"):
        amounts, expected = (
            spec["deploymentSpec"]["executors"][label]["container"]["resources"]
            for spec in (placed.spec, theirs)
        )
        assert amounts.keys() == expected.keys()
        assert amounts == {
            key: pytest.approx(value) if isinstance(value, float) else value
            for key, value in expected.items()
        }


def test_kfps_own_messages_take_the_placed_pipeline(production: bytes) -> None:
    """Parsed strictly: an unknown field is an error."""
    placed = place(production, production=True, release=PLACED, fit=PLACED)
    assert placed.platform is not None
    json_format.ParseDict(placed.spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(placed.platform, pipeline_spec_pb2.PlatformSpec())
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(placed.spec["deploymentSpec"], deployment)
    assert deployment.executors["exec-fit"].container.resources.resource_cpu_limit == "1500m"
    attached = placed.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for body in attached.values():
        message = json_format.ParseDict(
            body, kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        )
        assert json_format.MessageToDict(message) == body
