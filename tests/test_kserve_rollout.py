"""Rolling out on a cluster: dark, proven, a share at a time, promoted; and never a worse one than before."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.engines import KserveMode
from gitops.errors import RefusedError
from gitops.flow.cluster_turn import ClusterTurn
from gitops.rollout import compare_rows, make_identity
from tests.cluster_kit import NAMESPACE, Bench, Made, Place, make_bundle, make_release, open_place

MODES = (KserveMode.SERVERLESS, KserveMode.STANDARD)
# For what does not depend on how KServe runs a service: each test starts real servers.
in_one_mode = pytest.mark.parametrize("bench", [KserveMode.STANDARD], indirect=True)
WHOLE_WAY = [
    *("started", "ready", "identified", "replayed"),
    *("shifted to 10 %", "checked at 10 %", "shifted to 50 %", "checked at 50 %"),
    *("shifted to 100 %", "checked at 100 %", "promoted"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    folder = tmp_path_factory.mktemp("bundles")
    return make_bundle(folder / "a", -0.01), make_bundle(folder / "b", -0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, made: tuple[Made, Made]) -> Iterator[Place]:
    with open_place(tmp_path_factory.mktemp("place")) as place:
        for version, bundle in RELEASED.items():
            place.pods.add(make_release(version, made[bundle].digest), made[bundle])
        yield place


RELEASED = {"v1.0.0": 0, "v1.1.0": 1, "v1.2.0": 0}


@pytest.fixture(params=MODES)
def bench(request: pytest.FixtureRequest, cluster: Place, made: tuple[Made, Made]) -> Bench:
    """A service of its own on which v1.0.0 serves."""
    number = len(cluster.fake.requests)
    bench = Bench(place=cluster, mode=request.param, name=f"fuel-{number}")
    turn(bench, made, "v1.0.0").run()
    assert bench.steps == ["created", "ready", "identified", "replayed"]
    bench.steps.clear()
    return bench


def turn(bench: Bench, made: tuple[Made, Made], version: str, **changes: object) -> ClusterTurn:
    judged = made[RELEASED[version]]
    return bench.turn(make_release(version, judged.digest), judged, **changes)  # type: ignore[arg-type] # by name


def commit_of(version: str, made: tuple[Made, Made]) -> str:
    return make_release(version, made[RELEASED[version]].digest).commit


class Client(threading.Thread):
    """Asks without pause through the gateway."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench, self.stopping = bench, threading.Event()
        self.versions: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        endpoint = self.bench.service().open_url(self.bench.live().url)
        while not self.stopping.wait(0.01):
            try:
                body = endpoint.ask(f"/v2/models/{self.bench.name}")
                self.versions.append(body["parameters"]["version"])
            except Exception as error:  # noqa: BLE001 - a client may see no failure of any kind
                self.failures.append(repr(error))


def test_a_new_model_is_proven_in_the_dark_then_gets_more_and_more_and_no_client_notices(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    fake = bench.place.fake
    shares = []

    def on_step(step: str) -> None:
        bench.steps.append(step)
        shares.append(fake.traffic(NAMESPACE, bench.name))

    client = Client(bench)
    client.start()
    try:
        done = turn(bench, made, "v1.1.0", on_step=on_step)
        done.run()
    finally:
        client.stopping.set()
        client.join(30)
    old, new = fake.revisions(NAMESPACE, bench.name)
    assert bench.steps == WHOLE_WAY
    # Until it was proven it had nothing; at each check, what it was given.
    assert all(share.get(old.name) == 100 for share in shares[:4])
    checked = [s for name, s in zip(bench.steps, shares, strict=True) if name.startswith("checked")]
    assert [share.get(new.name) for share in checked] == [10, 50, 100]
    assert [step.percent for step in done.steps] == [10, 50, 100]
    assert all(step.errors == 0 and step.new > 0 for step in done.steps)
    assert done.parity is not None
    assert done.previous == make_identity(make_release("v1.0.0", made[0].digest))
    assert client.failures == []
    assert set(client.versions) == {"v1.0.0", "v1.1.0"}
    # Git's manifest is what the cluster holds, promotion started nothing, and the model is the judged one.
    assert bench.live().percent is None
    assert bench.live().canaries == ()
    assert bench.commits() == {commit_of("v1.1.0", made): 100}
    assert compare_rows(made[1].expected.scores, bench.predict()).worst < 1e-7


@in_one_mode
def test_run_again_it_proves_the_same_one_again_and_changes_nothing(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    before = len(bench.place.fake.requests)
    again = turn(bench, made, "v1.0.0")
    again.run()
    assert not again.is_changed
    assert again.parity is not None
    assert {asked.verb for asked in bench.place.fake.requests[before:]} <= {"GET", "get"}


def test_a_model_that_predicts_something_else_never_gets_traffic(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    forged = bench.turn(make_release("v1.1.0", made[1].digest), made[0])
    with pytest.raises(
        RefusedError, match=r"does not predict.*; v1\.0\.0 has all the traffic again"
    ):
        forged.run()
    assert bench.steps == ["started", "ready", "identified", "restored"]
    assert bench.commits() == {commit_of("v1.0.0", made): 100}
    assert bench.ask().version == "v1.0.0"


@in_one_mode
def test_a_model_that_says_it_is_another_never_gets_traffic(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    release = make_release("v6.6.6", made[1].digest)
    bench.place.pods.add(release, made[1], commit="0" * 40)
    with pytest.raises(RefusedError, match=r"says that it is fuel v6\.6\.6 of commit 000"):
        bench.turn(release, made[1]).run()
    assert bench.steps == ["started", "ready", "restored"]
    assert bench.ask().version == "v1.0.0"


def test_a_first_deployment_that_is_not_the_judged_model_is_stopped(
    cluster: Place, made: tuple[Made, Made]
) -> None:
    bench = Bench(place=cluster, mode=KserveMode.STANDARD, name="first")
    with pytest.raises(RefusedError, match="nothing served before, so the new one was stopped"):
        bench.turn(make_release("v1.1.0", made[1].digest), made[0]).run()
    assert bench.live().is_stopped


@pytest.mark.slow
def test_killed_after_every_step_each_next_run_goes_on_from_what_is_live(
    bench: Bench, made: tuple[Made, Made], tmp_path: Path
) -> None:
    given = 0
    steps = ("started", "replayed", *WHOLE_WAY[4:])
    # Between a shift and its check nothing differs from one mode to the other.
    shifts = tuple(step for step in steps if not step.startswith("checked"))
    for step in steps if bench.mode is KserveMode.SERVERLESS else shifts:
        command = [sys.executable, "-m", "tests.kserve_driver", str(bench.place.kubeconfig)]
        command += [bench.place.gateway, bench.mode, bench.name, "v1.1.0", step]
        command += [made[1].digest, str(made[1].expected.holdout), str(made[1].folder)]
        killed = subprocess.run(command, capture_output=True, text=True, check=False)
        assert killed.returncode == -9, (step, killed.stderr)
        # Somebody serves all the time, and nothing that was given is taken back.
        assert sum(bench.shares()) == 100
        now = bench.commits().get(commit_of("v1.1.0", made), 0)
        assert now >= given
        given = now
    done = turn(bench, made, "v1.1.0")
    done.run()
    assert bench.commits() == {commit_of("v1.1.0", made): 100}
    assert bench.live().percent is None
    assert len(bench.place.fake.revisions(NAMESPACE, bench.name)) == 2


class Killed(BaseException):
    """Ends a turn as a signal would: nothing of it cleans up."""


def kill_at(step: str) -> object:
    def on_step(name: str) -> None:
        if name == step:
            raise Killed

    return on_step


def test_the_canary_of_a_superseded_release_is_replaced(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    with pytest.raises(Killed):
        turn(bench, made, "v1.1.0", on_step=kill_at("shifted to 10 %")).run()
    following = turn(bench, made, "v1.2.0")
    following.run()
    assert following.previous is not None
    assert following.previous.version == "v1.0.0"
    assert bench.commits() == {commit_of("v1.2.0", made): 100}
    assert bench.live().canaries == ()


def change_share(bench: Bench, percent: int) -> None:
    """Give the new one a share as `kubectl edit` would."""
    from kubernetes import client, config

    api = client.CustomObjectsApi(config.new_client_from_config(str(bench.place.kubeconfig)))
    place = ("serving.kserve.io", "v1beta1", NAMESPACE, "inferenceservices", bench.name)
    body = api.get_namespaced_custom_object(*place)
    if bench.mode is KserveMode.SERVERLESS:
        body["spec"]["predictor"]["canaryTrafficPercent"] = percent
    else:
        body["spec"]["canary"][0]["trafficPercent"] = percent
    api.replace_namespaced_custom_object(*place, body, field_manager="kubectl-edit")


@in_one_mode
def test_a_person_who_changes_the_share_meanwhile_ends_the_rollout(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    def on_step(step: str) -> None:
        if step == "checked at 10 %":
            change_share(bench, 30)

    with pytest.raises(
        RefusedError, match=r"(from 10 to 30 %|kubectl-edit).*all the traffic again"
    ):
        turn(bench, made, "v1.1.0", on_step=on_step).run()
    assert bench.commits() == {commit_of("v1.0.0", made): 100}


@in_one_mode
def test_a_share_that_a_person_set_before_is_named_and_taken_back(
    bench: Bench, made: tuple[Made, Made], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        turn(bench, made, "v1.1.0", on_step=kill_at("shifted to 10 %")).run()
    change_share(bench, 30)
    turn(bench, made, "v1.1.0").run()
    said = capsys.readouterr().err
    assert "somebody gave the new one 30 %" in said
    assert "kubectl-edit" in said
    assert bench.commits() == {commit_of("v1.1.0", made): 100}


@in_one_mode
def test_two_rollouts_at_once_do_not_undo_each_other(bench: Bench, made: tuple[Made, Made]) -> None:
    def on_step(step: str) -> None:
        if step == "checked at 10 %":
            turn(bench, made, "v1.2.0").run()

    with pytest.raises(RefusedError, match="superseded"):
        turn(bench, made, "v1.1.0", on_step=on_step).run()
    assert bench.commits() == {commit_of("v1.2.0", made): 100}


@in_one_mode
def test_only_a_limit_that_changes_is_rolled_out_as_well(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    larger = turn(bench, made, "v1.0.0", memory="2Gi")
    larger.run()
    assert [step.percent for step in larger.steps] == [10, 50, 100]
    assert bench.live().predictor["model"]["resources"]["limits"]["memory"] == "2Gi"
    assert replace(bench.ask(), commit="") == replace(larger.identity, commit="")
