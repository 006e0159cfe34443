"""The manifest of a served release: what it says, where it is committed, and what it triggers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.adapters.publish import GitRemote, Question, publish_file
from gitops.canary import covers, make_canary, read_wanted, with_share, with_stop
from gitops.change import Kind, RawChange, Status, make_change_set, make_served_paths
from gitops.config import make_config
from gitops.engines import Kserve, KserveMode
from gitops.errors import InputError, RefusedError
from gitops.flow.cluster_rollouts import roll_out_cluster
from gitops.flow.releasing import make_output_paths
from gitops.inference import Origin, make_origin, plan_served, render_bytes, render_service
from gitops.live import parse_live
from gitops.release import Release
from tests.release_kit import (
    git,
    make_candidate,
    make_content,
    make_environ,
    make_remote,
    make_repositories,
    publish_candidate,
)

CONFIG = make_config(
    {**make_content("fuel"), "rollout": {"engine": "kserve", "mode": "serverless"}}
)
FUEL = CONFIG.models[0]
SERVERLESS, STANDARD = (Kserve(mode=mode) for mode in (KserveMode.SERVERLESS, KserveMode.STANDARD))
ORIGIN = Origin(host="gitlab.example.org", project="team/cars")
PATH = "kubernetes/served/fuel.yaml"
ADDRESS = "https://gitlab.example.org/team/cars.git"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return make_repositories(tmp_path, "fuel")[0]


def release_first(origin: Path, label: str = "a", champion: str = "") -> Release:
    source = git(origin, "rev-parse", "main")
    return publish_candidate(origin, CONFIG, make_candidate(FUEL, source, label, champion))


# What it says


@pytest.mark.parametrize(
    ("url", "host", "project"),
    [
        ("https://gitlab.example.org/team/cars.git", "gitlab.example.org", "team/cars"),
        ("https://user:secret@GitLab.example.org:8443/a/b/c", "gitlab.example.org:8443", "a/b/c"),
        ("ssh://git@gitlab.example.org:2222/team/cars.git", "gitlab.example.org", "team/cars"),
        ("git@gitlab.example.org:team/cars.git", "gitlab.example.org", "team/cars"),
    ],
)
def test_a_remote_is_found_by_pods_without_its_credentials(
    url: str, host: str, project: str
) -> None:
    assert make_origin(url) == Origin(host=host, project=project)


@pytest.mark.parametrize(
    "url",
    [
        *("/srv/git/cars.git", "file:///srv/git/cars.git", "../origin.git", "https://host/alone"),
        *(
            "https://host/a/../b",
            "https://host/a b",
            "https://host:x/a/b",
            "https://host/a@b/c",
            "",
        ),
    ],
)
def test_a_remote_that_pods_cannot_reach_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(InputError, match="pods cannot fetch") as error:
        make_origin(url)
    assert "https://" in error.value.hint


def test_what_pods_would_refuse_is_refused_before_it_is_committed(origin: Path) -> None:
    odd = replace(FUEL, pointer="models/a b.dvc")
    with pytest.raises(InputError):
        render_service(odd, SERVERLESS, release_first(origin), ORIGIN)


def make_release(origin: Path) -> tuple[Release, dict[str, Any]]:
    release = release_first(origin)
    return release, render_service(FUEL, SERVERLESS, release, ORIGIN)


def test_the_service_names_the_release_commit_and_what_it_should_be(origin: Path) -> None:
    release, service = make_release(origin)
    predictor = service["spec"]["predictor"]
    uri = f"dvc://gitlab.example.org/team/cars@{release.commit}/models/fuel"
    assert predictor["model"]["storageUri"] == uri
    assert predictor["model"]["modelFormat"] == {"name": "gitops"}
    assert predictor["model"]["runtime"] == "gitops-serve"
    assert predictor["annotations"] == {
        "gitops/bundle": release.manifest.bundle,
        "gitops/commit": release.commit,
        "gitops/model": "fuel",
        "gitops/release": "fuel@v1.0.0",
    }
    assert predictor["labels"] == {"app.kubernetes.io/version": "v1.0.0"}
    # KServe copies these into each pod: what changes with a release would restart the others.
    assert "v1.0.0" not in str(service["metadata"])
    assert service["metadata"]["annotations"] == {
        "serving.kserve.io/deploymentMode": "Serverless",
        "serving.kserve.io/enable-tag-routing": "true",
    }


def test_a_stock_runtime_gets_the_one_file_of_the_bundle_but_no_rollout_of_ours(
    origin: Path,
) -> None:
    stock = replace(SERVERLESS, runtime="kserve-xgbserver")
    release = release_first(origin)
    model = render_service(FUEL, stock, release, ORIGIN)["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "xgboost"}
    assert model["storageUri"].endswith(f"@{release.commit}/models/fuel/model.ubj")
    with pytest.raises(InputError, match="cannot say which model it serves"):
        roll_out(origin, release, stock)


def test_each_content_of_the_standard_mode_has_a_deployment_of_its_own(origin: Path) -> None:
    release = release_first(origin)

    def name(kserve: Kserve, given: Release) -> str:
        found = str(render_service(FUEL, kserve, given, ORIGIN)["spec"]["predictor"]["name"])
        assert re.fullmatch("r[0-9a-f]{10}", found)
        return found

    again = replace(release, commit="f" * 40)
    names = [name(STANDARD, release), name(STANDARD, again)]
    names.append(name(replace(STANDARD, memory="2Gi"), release))
    assert len(set(names)) == 3
    assert name(STANDARD, release) == names[0]


def check_known(body: object, kind: str, path: str = "") -> None:
    """Fail unless every key of a body is one that the SDK's model of it has."""
    import kserve.models
    import kubernetes.client.models

    if kind.startswith("list["):
        assert isinstance(body, list), path
        for each in body:
            check_known(each, kind[5:-1], path)
        return
    model = getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind, None)
    if model is None:
        basic = {"str": str, "int": int}.get(kind, dict)
        assert isinstance(body, basic), f"{path} is no {kind}"
        return
    assert isinstance(body, dict), path
    attributes = {key: name for name, key in model.attribute_map.items()}
    model(**{attributes[key]: value for key, value in body.items()})
    for key, value in body.items():
        check_known(value, model.openapi_types[attributes[key]], f"{path}.{key}")


@pytest.mark.parametrize("kserve", [SERVERLESS, STANDARD], ids=["serverless", "standard"])
def test_whatever_is_applied_fits_the_models_of_the_kserve_sdk(
    origin: Path, kserve: Kserve
) -> None:
    service = render_service(FUEL, kserve, release_first(origin), ORIGIN)
    old = {**service["spec"]["predictor"], "name": "rold"}
    for body in (service, with_share(service, old, 10, kserve.mode), with_stop(service)):
        check_known(body, "V1beta1InferenceService")
    with pytest.raises(KeyError):
        check_known({**service, "spec": {"predictors": {}}}, "V1beta1InferenceService")


def test_a_dark_canary_has_a_pod_and_no_autoscaler(origin: Path) -> None:
    service = render_service(FUEL, replace(STANDARD, min_replicas=4), release_first(origin), ORIGIN)
    wanted = read_wanted(service)
    replicas = [make_canary(wanted, p)["predictor"]["minReplicas"] for p in (0, 10, 50, 100)]
    assert replicas == [1, 1, 2, 4]
    assert "maxReplicas" not in make_canary(wanted, 0)["predictor"]


def test_equal_releases_are_equal_bytes_that_every_reader_of_yaml_reads_alike(
    origin: Path,
) -> None:
    release = replace(release_first(origin), commit="1234567e" + "1" * 32)
    service = render_service(FUEL, SERVERLESS, release, ORIGIN)
    content = render_bytes(service)
    assert content == render_bytes(yaml.safe_load(content))
    assert yaml.safe_load(content) == service
    # Other readers take 1234567e1111 for a number.
    assert f'gitops/commit: "{release.commit}"' in content.decode()


# What the cluster holds


def test_defaults_that_the_cluster_adds_are_no_difference_and_other_values_are() -> None:
    assert covers({"a": 1, "b": {"c": 2, "new": 3}}, {"b": {"c": 2}})
    assert not covers({"a": 1}, {"b": 1})
    assert not covers({"b": [1, 2]}, {"b": [1]})


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], {}, {"spec": 3, "status": "x"}, {"status": {"components": {"predictor": []}}}),
        {"spec": {"canary": [3, {"predictor": "x"}], "predictor": {"canaryTrafficPercent": True}}},
        {"status": {"conditions": [None, {"type": ["Ready"]}], "canaryStatuses": {"a": 1}}},
        {"status": {"url": 3, "components": {"predictor": {"traffic": [{"percent": "9"}, 1]}}}},
    ],
)
def test_an_answer_of_another_kind_is_a_service_that_is_not_ready(body: object) -> None:
    live = parse_live(body)
    assert not live.is_ready
    assert live.url == ""
    assert live.percent is None


# Where it is committed


def commit(origin: Path, release: Release, content: bytes) -> Release:
    return publish_file(
        make_remote(origin),
        Question(config=FUEL),
        PATH,
        lambda target, now: plan_served(target, now, release=release, path=PATH, content=content),
    )


def test_the_manifest_is_committed_once_and_says_which_release_it_serves(origin: Path) -> None:
    release = release_first(origin)
    first = commit(origin, release, b"a: 1\n")
    assert git(origin, "show", f"main:{PATH}") == "a: 1"
    assert git(origin, "rev-parse", "main", "main^").split() == [first.commit, release.commit]
    assert git(origin, "log", "-1", "--format=%B", "main").splitlines() == [
        "Serve fuel v1.0.0",
        "",
        "Serves: fuel@v1.0.0",
        f"Serves-Commit: {release.commit}",
    ]
    before = git(origin, "for-each-ref")
    assert commit(origin, release, b"a: 1\n") is release
    assert git(origin, "for-each-ref") == before


def test_a_lost_race_is_read_again_and_a_newer_release_is_never_overwritten(origin: Path) -> None:
    release = release_first(origin)
    met = []

    def plan(target: Any, now: bytes | None) -> Any:
        met.append(target.commit)
        if len(met) == 1:
            release_first(origin, "b", release.manifest.bundle)
        return plan_served(target, now, release=release, path=PATH, content=b"a: 1\n")

    with pytest.raises(RefusedError, match=r"superseded: main now carries fuel v1\.1\.0"):
        publish_file(make_remote(origin), Question(config=FUEL), PATH, plan)
    assert len(met) == 2
    assert PATH not in git(origin, "ls-tree", "-r", "--name-only", "main")


def roll_out(origin: Path, release: Release, kserve: Kserve) -> Any:
    """Roll out from a remote that git reaches by a path, under the address that pods know."""
    rewrite = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    environ = {**make_environ(origin.parent / "home"), **rewrite}
    return roll_out_cluster(
        FUEL,
        kserve,
        release,
        remote=GitRemote(url=ADDRESS, branch="main", environ=environ),
        proof=None,
        environ={},
        on_step=lambda step: None,
    )


def test_what_others_apply_is_committed_and_left_alone(origin: Path) -> None:
    release = release_first(origin)
    kserve = replace(SERVERLESS, apply=False)
    done = roll_out(origin, release, kserve)
    assert (done.applied, done.parity, done.url, done.changed) == (False, None, "", True)
    assert done.committed == git(origin, "rev-parse", "main")
    content = git(origin, "show", f"main:{PATH}")
    assert f"{content}\n".encode() == render_bytes(render_service(FUEL, kserve, release, ORIGIN))
    again = roll_out(origin, release, kserve)
    assert (again.changed, again.committed) == (False, "")


# What it triggers


def test_a_commit_of_the_manifest_triggers_nothing() -> None:
    assert make_served_paths(CONFIG.kserve, FUEL) == (PATH,)
    assert PATH in make_output_paths(CONFIG)
    assert make_served_paths(None, FUEL) == ()
    raw = RawChange(
        status=Status.ADDED,
        path=PATH,
        old_path=None,
        old_mode="000000",
        new_mode="100644",
        old_id="0" * 40,
        new_id="1" * 40,
    )
    # Even a model that depends on the whole repository does not depend on what its rollout writes.
    model = replace(FUEL, sources=(".",))
    config = replace(CONFIG, models=(model,))
    found = make_change_set(
        (raw,), base="a" * 40, head="b" * 40, everything=False, reason="", config=config
    )
    assert [file.kind for file in found.files] == [Kind.OUTPUT]
