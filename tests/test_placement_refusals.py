"""Whatever in a compiled pipeline is not understood is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from gitops.errors import InputError
from tests.placement_kit import make_spec, place, task


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    spec = make_spec("fit")
    change(spec)
    return spec


def fit_of(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["deploymentSpec"]["executors"]["exec-fit"]
    return found


ODD: dict[str, Any] = {
    "platform in a component": changed(
        lambda s: s["components"]["comp-fit"].update(singlePlatformSpecs=[{}])
    ),
    "other spelling": changed(
        lambda s: s["components"]["comp-fit"].update(single_platform_specs=[{}])
    ),
    "second deployment": changed(lambda s: s.update(deployment_spec={"executors": {}})),
    "own artifact root": changed(lambda s: s.update(defaultPipelineRoot="s3://evil")),
    "importer": changed(
        lambda s: fit_of(s).update(importer={"artifactUri": {"constant": "s3://x"}})
    ),
    "custom job": changed(lambda s: fit_of(s).update(customJob={})),
    "lifecycle": changed(lambda s: fit_of(s)["container"].update(lifecycle={})),
    "environment from elsewhere": changed(
        lambda s: fit_of(s)["container"].update(env=[{"name": "A", "valueFrom": {}}])
    ),
    "environment no list": changed(lambda s: fit_of(s)["container"].update(env=5)),
    "args no words": changed(lambda s: fit_of(s)["container"].update(args=[1])),
    "resources": changed(lambda s: fit_of(s)["container"].update(resources={"hostPath": "/"})),
    "cache key": changed(
        lambda s: s["root"]["dag"]["tasks"]["fit"]["cachingOptions"].update(cacheKey="main")
    ),
    "unknown component": changed(lambda s: s["root"]["dag"]["tasks"].update(x=task("absent"))),
    "odd component": changed(lambda s: s["components"].update(x={"executorLabel": ["exec-fit"]})),
    "nothing to execute": changed(lambda s: s["components"].update(x={"executorLabel": "exec-x"})),
    "a graph in place of the root": changed(
        lambda s: s["components"].update({"": {"dag": {"tasks": {}}}})
    ),
    "no graph": changed(lambda s: s.update(root={"executorLabel": "exec-fit"})),
    "empty": b"",
    "text": b"hello",
    "list": b"[]",
    "alias": b"a: &a [x]\nb: *a\n",
    "tag": b"!!python/object:os.system {}\n",
    "date": yaml.safe_dump(make_spec("fit"))
    .replace("2.1.0", "2024-01-01")
    .replace("'", "")
    .encode(),
    "deep": b"[" * 5000 + b"]" * 5000,
    "huge": b" " * (4 << 20) + b" ",
    "three documents": yaml.safe_dump_all([make_spec("fit"), {}, {}]).encode(),
    "not UTF-8": b"\xff",
    "twice": yaml.safe_dump(make_spec("fit")).encode() + b"root: {}\n",
}


@pytest.mark.parametrize("spec", ODD.values(), ids=ODD)
def test_what_is_not_understood_is_refused(spec: Any) -> None:
    with pytest.raises(InputError):
        place(spec)


ODD_PLATFORMS: dict[str, dict[str, Any]] = {
    "another platform": {"platforms": {"other": {}}},
    "a workspace": {
        "platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Gi"}}}}
    },
    "a time without end": {
        "platforms": {"kubernetes": {"pipelineConfig": {"resourceTtlOnSuccess": -1}}}
    },
    "other spelling": {"platforms": {"kubernetes": {"pipeline_config": {}}}},
    "config": {"platforms": {"kubernetes": {"config": {}}}},
    "no such step": {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-absent": {}}}}}
    },
}


@pytest.mark.parametrize("platform", ODD_PLATFORMS.values(), ids=ODD_PLATFORMS)
def test_a_platform_that_is_not_understood_is_refused(platform: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        place(yaml.safe_dump_all([make_spec("fit"), platform]).encode())


ODD_ATTACHMENTS: dict[str, Any] = {
    "no mapping": [],
    "pull policy": {"imagePullPolicy": "Sometimes"},
    "deadline": {"activeDeadlineSeconds": "-1"},
    "node": {"nodeSelector": {"labels": {"pool": {"a": "b"}}}},
    "toleration": {"tolerations": [{"key": ["gpu"]}]},
    "toleration no list": {"tolerations": {"key": "gpu"}},
    "toleration by an input": {"tolerations": [{"tolerationJson": {}}]},
    "secret no list": {"secretAsEnv": {"secretName": "release"}},
    "other spelling": {"secret_as_env": []},
}


@pytest.mark.parametrize("attached", ODD_ATTACHMENTS.values(), ids=ODD_ATTACHMENTS)
def test_an_attachment_that_is_not_understood_names_its_step(attached: Any) -> None:
    with pytest.raises(InputError, match="'fit'"):
        place(make_spec("fit"), {"exec-fit": attached})


def test_a_cache_key_of_ones_own_is_explained() -> None:
    with pytest.raises(InputError, match="could bring back another's result"):
        place(ODD["cache key"])


def test_the_unchanged_pipeline_of_these_tests_is_accepted() -> None:
    limited = {"executors": {"exec-fit": {"activeDeadlineSeconds": "21600"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": limited}}}
    assert place(make_spec("fit")).platform == platform
    assert place(make_spec("fit"), {}).platform == platform
