"""The fuel model goes the whole way on a cluster, merge by merge; then the same repository goes it locally.

One story in chapters, told in order: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fake_kubeflow.world import Run
from tests.whole_way import GIT_TOKEN, IMAGE, ROOT, World, make_world

STEPS = ("prepare", "fit", "score", "judge", "release", "rollout")
PARAMS = (ROOT / "pipelines" / "fuel" / "params.yaml").read_text()


def said(text: str) -> str:
    return " ".join(text.split())


def ask(world: World, path: str, body: object = None) -> dict[str, Any]:
    """Ask the service through the cluster's gateway, as a client does."""
    request = urllib.request.Request(
        world.cluster.gateway + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Host": "fuel.models.example.com", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def a_merge_request_is_trained_on_the_cluster_and_judged(world: World) -> None:
    world.change({"pipelines/fuel/README.md": "More about it\n"}, "Explain", branch="topic")
    done = world.review_job(7, "topic", "check")
    assert done.returncode == 0, done.stderr
    assert [namespace_of(world, run) for run in world.kubeflow.runs] == ["gitops-experiments"]
    assert "fit success" in said(done.stderr)
    assert world.document("verdict.json")["outcome"] == "PASS"
    stored = world.s3.keys()
    zones = {key.split("/")[1] for key in stored if key.startswith("store/")}
    assert zones == {"untrusted"}


def a_merge_is_trained_judged_released_and_served_on_the_cluster(world: World) -> None:
    done = world.job("run", "production")
    assert done.returncode == 0, done.stderr
    for step in STEPS:
        assert f"{step} success in" in said(done.stderr)
    log = world.bare.git("log", "--format=%s", "main").splitlines()
    assert log[:2] == ["Serve fuel v1.0.0", "Release fuel v1.0.0"]
    assert world.bare.git("tag", "--list") == "fuel@v1.0.0"
    release = world.document("release.json")
    assert release["commit"] == world.bare.git("rev-parse", "fuel@v1.0.0^{commit}")
    pointer = yaml.safe_load(world.file_on_main("data/models/fuel.dvc"))["outs"][0]["md5"]
    stored = world.s3.keys()
    assert f"dvc/files/md5/{pointer[:2]}/{pointer[2:]}" in stored


def what_serves_says_which_commit_it_is_and_predicts_what_was_judged(world: World) -> None:
    car = {"cyl": 4, "dpl": 97, "hp": 90, "wght": 2448, "acc": 15, "year": 76, "org": 2}
    answer = ask(world, "/v1/models/fuel:predict", {"instances": [car]})
    (mpg,) = answer["predictions"]
    assert 22 < mpg < 30
    commit = world.bare.git("rev-parse", "fuel@v1.0.0^{commit}")
    assert commit in json.dumps(answer)
    status = world.job("status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["models"][0]["served"]["commit"] == commit


def the_committed_manifest_names_the_commit_of_the_pointer(world: World) -> None:
    manifest = yaml.safe_load(world.file_on_main("kubernetes/served/fuel.yaml"))
    commit = world.bare.git("rev-parse", "fuel@v1.0.0^{commit}")
    assert manifest["spec"]["predictor"]["model"]["storageUri"] == (
        f"dvc://127.0.0.1:{world.git.port}/team/cars@{commit}/data/models/fuel"
    )


def only_the_release_and_rollout_pods_could_push(world: World) -> None:
    """Each step's pod has what gitops.yaml grants it: the training step has nothing at all."""
    (run,) = (r for r in world.kubeflow.runs if namespace_of(world, r) == "gitops-production")
    version = world.kubeflow.world.versions[
        run.body["pipeline_version_reference"]["pipeline_version_id"]
    ]
    kubernetes = version.platform_spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    granted = {
        label.removeprefix("exec-"): [find_secret_name(entry) for entry in config["secretAsEnv"]]
        for label, config in kubernetes.items()
        if "secretAsEnv" in config
    }
    reading = {step: ["gitops-read"] for step in ("prepare", "score", "judge")}
    assert granted == {**reading, "release": ["gitops-release"], "rollout": ["gitops-rollout"]}
    executors = version.pipeline_spec["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {IMAGE}


def find_secret_name(entry: dict[str, Any]) -> str:
    constant = entry.get("secretNameParameter", {}).get("runtimeValue", {}).get("constant")
    return str(entry.get("secretName") or constant)


def namespace_of(world: World, run: Run) -> str:
    return str(world.kubeflow.world.experiments[run.body["experiment_id"]]["namespace"])


def the_same_merge_again_starts_nothing_and_commits_nothing(world: World) -> None:
    runs, tip = len(world.kubeflow.runs), world.bare.git("rev-parse", "main")
    done = world.job("run", "production")
    assert done.returncode == 0, done.stderr
    assert "released as fuel@v1.0.0 already" in done.stderr
    assert len(world.kubeflow.runs) == runs
    assert world.bare.git("rev-parse", "main") == tip


def schedules_are_reconciled_and_what_they_start_does_what_a_merge_does(world: World) -> None:
    done = world.job("schedule")
    assert done.returncode == 0, done.stderr
    assert "team-cars-weekly created" in said(done.stderr)
    again = world.job("schedule")
    assert "are those of gitops.yaml" in again.stderr
    runs, tip = len(world.kubeflow.runs), world.bare.git("rev-parse", "main")
    fired = world.kubeflow.fire("team-cars-weekly").execution
    assert fired is not None
    assert fired.wait() == "SUCCEEDED", fired.read_run_log()
    assert world.bare.git("rev-parse", "main") == tip
    assert len(world.kubeflow.runs) == runs + 1


def a_training_step_that_fails_shows_its_own_last_lines(world: World) -> None:
    world.change({"pipelines/fuel/params.yaml": "model: steam\n"}, "Try steam", branch="steam")
    done = world.review_job(8, "steam", "run", "experimental")
    assert done.returncode == 2
    assert "the step 'fit' failed" in done.stderr
    assert "KeyError" in done.stderr
    assert "cluster.log" in done.stderr
    told = world.document("failure.json")
    assert "the step 'fit' failed" in told["what"]
    assert "KeyError" in told["what"]
    assert told["hint"].endswith(".gitops/fuel/cluster.log")


def a_release_pod_that_is_killed_leaves_nothing_half_done(world: World) -> None:
    world.change({"pipelines/fuel/params.yaml": PARAMS.replace("400", "500")}, "More trees")
    tip, known = world.bare.git("rev-parse", "main"), len(world.kubeflow.runs)
    job = world.start_job("run", "production")
    wait_for(lambda: "release: pushed" in read_log(world, known, "release"))
    world.kubeflow.runs[known].terminate()
    _, errors = job.communicate(timeout=60)
    # Whoever ended it meant it: GitLab is not to try it again by itself.
    assert job.returncode == 1, errors
    assert "to start it anew, run it again" in errors
    assert world.bare.git("rev-parse", "main") == tip
    assert world.bare.git("tag", "--list") == "fuel@v1.0.0"


def read_log(world: World, number: int, step: str) -> str:
    """Return what a step of the n-th run has printed so far."""
    runs = world.kubeflow.runs
    execution = runs[number].execution if len(runs) > number else None
    if execution is None:
        return ""
    return execution.read_log(f"{runs[number].body['run_id']}-{step}") or ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run_again_the_better_model_takes_over_step_by_step(world: World) -> None:
    done = world.job("run", "production")
    assert done.returncode == 0, done.stderr
    names = [run.body["display_name"] for run in world.kubeflow.runs]
    assert names[-1] == f"{names[-2]}-a2"
    log = world.bare.git("log", "--format=%s", "main").splitlines()
    assert log[:3] == ["Serve fuel v1.1.0", "Release fuel v1.1.0", "More trees"]
    rollout = world.document("rollout.json")
    assert [step["percent"] for step in rollout["steps"]] == [10, 50, 100]
    assert rollout["previous"]["version"] == "v1.0.0"
    assert rollout["parity"]["rows"] == 110
    identity = ask(world, "/v2/models/fuel")["parameters"]
    assert "v1.1.0" in json.dumps(identity)


def a_rollback_is_a_commit_and_serves_the_earlier_bytes_again(world: World) -> None:
    done = world.job("rollback", "fuel", "--reason", "more trees, more doubts")
    assert done.returncode == 0, done.stderr
    log = world.bare.git("log", "--format=%s", "main").splitlines()
    assert log[:2] == ["Serve fuel v1.0.0", "Roll fuel back to v1.0.0"]
    served = ask(world, "/v2/models/fuel")["parameters"]
    assert world.bare.git("rev-parse", "main~1") in json.dumps(served)
    assert world.job("status").returncode == 0


def no_secret_is_in_a_log_a_document_or_git(world: World) -> None:
    secrets = (GIT_TOKEN, world.s3.environ["AWS_SECRET_ACCESS_KEY"], world.kubeflow.token)
    printed = "".join(job.stdout + job.stderr for job in world.jobs)
    places = [*(world.folder / "builds").glob("*/.gitops"), world.folder / "kubeflow"]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    texts = [file.read_text("utf-8", "replace") for file in files if file.name != "request.json"]
    history = world.bare.git("log", "-p", "--all")
    uploaded = "".join(version.text for version in world.kubeflow.world.versions.values())
    for secret in secrets:
        assert secret not in printed
        assert secret not in history
        assert secret not in uploaded
        assert not [text for text in texts if secret in text]


def locally_the_same_repository_makes_the_same_release(world: World) -> None:
    """The engines change and nothing else: same bytes, same pointer, same manifest, same tag."""
    with make_world(world.folder / "local", engines="") as local:
        done = local.job("run", "production", "--no-rollout")
        assert done.returncode == 0, done.stderr
        assert local.bare.git("tag", "--list") == "fuel@v1.0.0"
        for path in ("data/models/fuel.dvc", "data/models/fuel.release.json"):
            here = local.bare.git("show", f"fuel@v1.0.0:{path}")
            there = world.bare.git("show", f"fuel@v1.0.0:{path}")
            if path.endswith(".dvc"):
                assert here == there
            else:
                assert make_comparable(here) == make_comparable(there)
        assert list_objects(local) <= list_objects(world)


def list_objects(world: World) -> set[str]:
    keys = world.s3.keys()
    return {key for key in keys if key.startswith("dvc/")}


def make_comparable(manifest: str) -> dict[str, Any]:
    """Leave out the commit that was released: another gitops.yaml is another commit."""
    body: dict[str, Any] = json.loads(manifest)
    return {key: value for key, value in body.items() if key != "source"}


CHAPTERS = (
    a_merge_request_is_trained_on_the_cluster_and_judged,
    a_merge_is_trained_judged_released_and_served_on_the_cluster,
    what_serves_says_which_commit_it_is_and_predicts_what_was_judged,
    the_committed_manifest_names_the_commit_of_the_pointer,
    only_the_release_and_rollout_pods_could_push,
    the_same_merge_again_starts_nothing_and_commits_nothing,
    schedules_are_reconciled_and_what_they_start_does_what_a_merge_does,
    a_training_step_that_fails_shows_its_own_last_lines,
    a_release_pod_that_is_killed_leaves_nothing_half_done,
    run_again_the_better_model_takes_over_step_by_step,
    a_rollback_is_a_commit_and_serves_the_earlier_bytes_again,
    no_secret_is_in_a_log_a_document_or_git,
    locally_the_same_repository_makes_the_same_release,
)


@pytest.mark.slow
def test_the_fuel_model_goes_the_whole_way_on_a_cluster(tmp_path: Path) -> None:
    with make_world(tmp_path) as world:
        for chapter in CHAPTERS:
            chapter(world)
