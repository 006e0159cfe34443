"""A cluster that fails in every way it can: what served before has all the traffic in the end, or somebody is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitops.adapters.kserve import Patience, open_cluster
from gitops.engines import KserveMode, TrafficCheck
from gitops.errors import GitopsError, InputError, OutsideError, RefusedError
from gitops.release import Release
from gitops.rollout import ServedIdentity
from gitops.traffic import Sample, Sides, SplitError, find_odds, judge_traffic, needs_more
from tests.cluster_kit import (
    NAMESPACE,
    PATIENCE,
    Bench,
    Made,
    make_bundle,
    make_release,
    open_place,
)
from tests.fake_kubernetes import Faults

OLD, NEW = "v1.0.0", "v1.1.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    folder = tmp_path_factory.mktemp("bundles")
    return make_bundle(folder / "a", -0.01), make_bundle(folder / "b", -0.02)


@pytest.fixture(scope="module", params=list(KserveMode))
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[Made, Made],
) -> Iterator[Bench]:
    """A service on which v1.0.0 serves; each test leaves it like that."""
    with open_place(tmp_path_factory.mktemp("place")) as place:
        release = place.pods.add(make_release(OLD, made[0].digest), made[0])
        bench = Bench(place=place, mode=request.param, name="fuel")
        bench.turn(release, made[0]).run()
        yield bench


@pytest.fixture
def bench(served: Bench, made: tuple[Made, Made]) -> Iterator[Bench]:
    served.steps.clear()
    yield served
    faults, fresh = served.place.fake.faults, Faults()
    for name in ("stuck", "failed_load", "frozen", "flap", "conflict", "server_errors"):
        setattr(faults, name, getattr(fresh, name))
    for each in (faults.errors, faults.slow, faults.crash):
        each.clear()
    served.place.fake.wait(lambda: served.commits() == {old(made): 100}, seconds=10)


def old(made: tuple[Made, Made]) -> str:
    return make_release(OLD, made[0].digest).commit


def make_next(bench: Bench, made: tuple[Made, Made]) -> Release:
    """Return a release that no test before has tried: a revision of its own."""
    pods = bench.place.pods
    release = make_release(f"v1.{len(pods.made)}.0", made[1].digest)
    return pods.add(release, made[1])


def roll_out(bench: Bench, made: tuple[Made, Made], **changes: object) -> None:
    bench.turn(make_next(bench, made), made[1], **changes).run()  # type: ignore[arg-type] # by name


def check_restored(bench: Bench, made: tuple[Made, Made]) -> None:
    assert bench.steps[-1] == "restored"
    assert bench.commits() == {old(made): 100}
    assert bench.ask().version == OLD


def test_one_that_is_never_ready_is_given_up_at_its_deadline(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    bench.place.fake.faults.stuck = True
    with pytest.raises(OutsideError, match=r"not ready in 1 s: .*v1\.0\.0 has all the traffic"):
        roll_out(bench, made, ready=1.0)
    assert bench.steps == ["started", "restored"]
    check_restored(bench, made)


def test_one_that_dies_while_it_loads_is_given_up_and_says_why(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    bench.place.fake.faults.failed_load = True
    # KServe says nothing of why a canary of the Standard mode failed.
    why = "ModelLoadFailed" if bench.mode is KserveMode.SERVERLESS else "CanaryNotReady"
    with pytest.raises(OutsideError, match=rf"not ready in 4 s: .*{why}"):
        roll_out(bench, made, ready=4.0)
    check_restored(bench, made)


def test_one_that_failed_for_good_is_started_anew_by_the_next_run(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    fake = bench.place.fake
    fake.faults.failed_load = True
    release = make_next(bench, made)
    before = len(fake.revisions(NAMESPACE, bench.name))
    with pytest.raises(OutsideError):
        bench.turn(release, made[1], ready=4.0).run()
    fake.faults.failed_load = False
    # Proven now, but against what another model predicts: it is another attempt, not the failed one.
    with pytest.raises(RefusedError, match="does not predict what the gate saw"):
        bench.turn(release, made[0]).run()
    assert len(fake.revisions(NAMESPACE, bench.name)) - before == 2
    check_restored(bench, made)


def at(step: str, bench: Bench, change: object) -> object:
    """Return a callback that switches a fault on after a step."""

    def on_step(name: str) -> None:
        bench.steps.append(name)
        if name == step:
            change()  # type: ignore[operator] # a function of no arguments

    return on_step


def test_errors_under_traffic_end_it(bench: Bench, made: tuple[Made, Made]) -> None:
    faults = bench.place.fake.faults
    on_step = at("shifted to 50 %", bench, lambda: faults.errors.update({"*": 0.5}))
    with pytest.raises(RefusedError, match=r"at 50 % of the traffic \d+ of \d+ requests failed"):
        roll_out(bench, made, on_step=on_step)
    assert "checked at 10 %" in bench.steps
    check_restored(bench, made)


def test_one_that_is_slow_under_traffic_ends_it(bench: Bench, made: tuple[Made, Made]) -> None:
    faults = bench.place.fake.faults
    on_step = at("shifted to 50 %", bench, lambda: faults.slow.update({"*": 0.4}))
    check = TrafficCheck(requests=8, max_latency_ratio=4.0)
    with pytest.raises(RefusedError, match=r"at 50 % of the traffic the new one takes 0\.[4-9]"):
        roll_out(bench, made, on_step=on_step, check=check)
    check_restored(bench, made)


def test_one_that_dies_under_traffic_ends_it(bench: Bench, made: tuple[Made, Made]) -> None:
    faults = bench.place.fake.faults
    on_step = at("shifted to 10 %", bench, lambda: faults.crash.update({"*": 1}))
    with pytest.raises(GitopsError, match=r"v1\.0\.0 has all the traffic again"):
        roll_out(bench, made, on_step=on_step, ready=8.0)
    check_restored(bench, made)


def test_a_cluster_that_no_longer_does_what_it_is_told_is_called_out_loudly(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    faults = bench.place.fake.faults
    on_step = at("checked at 10 %", bench, lambda: setattr(faults, "frozen", True))
    with pytest.raises(OutsideError, match="COULD NOT BE BROUGHT BACK") as error:
        roll_out(bench, made, on_step=on_step, ready=6.0)
    assert "AND WHAT SERVED BEFORE" in str(error.value)
    assert "restored" not in bench.steps
    # What was asked for is to give the old one everything: the cluster does it once it works again.
    faults.frozen = False
    bench.place.fake.wait(lambda: bench.commits() == {old(made): 100})


def test_no_conflict_lost_reply_or_broken_answer_makes_a_second_of_anything(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    fake = bench.place.fake
    before = len(fake.revisions(NAMESPACE, bench.name))

    def break_more(step: str) -> None:
        bench.steps.append(step)
        fake.faults.conflict, fake.faults.server_errors, fake.faults.lost_replies = 1, 1, 1

    fake.faults.conflict, fake.faults.lost_replies = 1, 1
    forged = bench.turn(make_next(bench, made), made[0], on_step=break_more)
    with pytest.raises(RefusedError, match="does not predict what the gate saw"):
        forged.run()
    fake.faults.lost_replies = 0
    assert len(fake.revisions(NAMESPACE, bench.name)) - before <= 1
    check_restored(bench, made)


def test_one_that_flaps_is_not_taken_for_ready(bench: Bench, made: tuple[Made, Made]) -> None:
    fake = bench.place.fake
    # As often as the cluster is looked at: ready this time, not ready the next.
    fake.faults.flap_seconds = PATIENCE.poll
    on_step = at("shifted to 10 %", bench, lambda: setattr(fake.faults, "flap", 100_000))
    with pytest.raises(OutsideError, match="not ready in 6 s"):
        roll_out(bench, made, on_step=on_step, ready=6.0)
    assert "shifted to 10 %" in bench.steps
    assert "promoted" not in bench.steps
    fake.faults.flap = 0


# Credentials


def test_without_a_cluster_the_way_to_one_is_named() -> None:
    with pytest.raises(InputError, match="no usable way to a cluster") as error:
        open_cluster({}, Patience())
    assert "KUBECONFIG" in error.value.hint


def test_credentials_that_are_refused_are_named_and_never_shown(
    served: Bench, made: tuple[Made, Made]
) -> None:
    fake = served.place.fake
    fake.faults.unauthorized = True
    try:
        with pytest.raises(
            OutsideError, match="the cluster said 401 to get inferenceservices"
        ) as e:
            roll_out(served, made)
    finally:
        token = fake.token
        fake.renew_token()
        fake.kubeconfig(served.place.kubeconfig)
    assert "renew" in e.value.hint
    assert token not in f"{e.value} {e.value.hint} {e.value.__cause__}"


# Judging a share


def make_identity(version: str) -> ServedIdentity:
    return ServedIdentity(model="fuel", version=version, commit="c" * 40, bundle="sha256:1")


SIDES = Sides(new=make_identity(NEW), old=make_identity(OLD))


def sample(version: str, count: int, seconds: float = 0.01) -> list[Sample]:
    return [Sample(seconds=seconds, identity=make_identity(version))] * count


@pytest.mark.parametrize(
    ("new", "previous", "percent", "real"),
    [(10, 90, 10, True), (0, 200, 10, False), (100, 0, 50, False), (99, 1, 100, False)],
)
def test_a_split_is_real_when_chance_explains_it(
    new: int, previous: int, percent: int, real: bool
) -> None:
    samples = sample(NEW, new) + sample(OLD, previous)
    check = TrafficCheck()
    if real:
        assert judge_traffic(samples, sides=SIDES, percent=percent, check=check).new == new
    else:
        with pytest.raises(SplitError, match="the split is not real"):
            judge_traffic(samples, sides=SIDES, percent=percent, check=check)


def test_odds_are_those_of_a_fair_draw() -> None:
    assert find_odds(0, 3, 0.5) == pytest.approx(0.125)
    assert find_odds(2, 3, 0.5) == pytest.approx(0.5)
    assert (find_odds(4, 4, 1.0), find_odds(3, 4, 1.0)) == (1.0, 0.0)


def test_bad_luck_is_asked_again_until_it_cannot_be_luck() -> None:
    check = TrafficCheck(requests=5)
    assert needs_more(sample(OLD, 20), SIDES, 10, check)
    assert not needs_more(sample(OLD, 200), SIDES, 10, check)
    assert not needs_more(sample(OLD, 9) + sample(NEW, 1), SIDES, 10, check)
    assert not needs_more([Sample(seconds=1.0, problem="broken")] * 5, SIDES, 10, check)


def test_somebody_else_who_answers_is_named() -> None:
    samples = sample(NEW, 50) + sample(OLD, 49) + sample("v9.9.9", 1)
    with pytest.raises(RefusedError, match=r"somebody else answers: fuel v9\.9\.9"):
        judge_traffic(samples, sides=SIDES, percent=50, check=TrafficCheck())


def test_an_error_more_than_is_tolerated_ends_it_and_one_less_does_not() -> None:
    check = TrafficCheck(max_error_rate=0.02)
    broken = [Sample(seconds=1.0, problem="status 500")]
    fine = sample(NEW, 49) + sample(OLD, 49)
    assert judge_traffic([*fine, *broken * 2], sides=SIDES, percent=50, check=check).errors == 2
    with pytest.raises(RefusedError, match="3 of 101 requests failed: status 500"):
        judge_traffic([*fine, *broken * 3], sides=SIDES, percent=50, check=check)


def test_slowness_is_weighed_against_the_old_one_of_the_same_batch_or_of_the_last() -> None:
    check = TrafficCheck(max_latency_ratio=3.0)
    slow, usual = sample(NEW, 50, 0.5), sample(OLD, 50, 0.1)
    with pytest.raises(RefusedError, match=r"takes 0\.500 s .*the old one 0\.100 s"):
        judge_traffic(slow + usual, sides=SIDES, percent=50, check=check)
    with pytest.raises(RefusedError, match="100 %"):
        judge_traffic(slow, sides=SIDES, percent=100, check=check, baseline=0.1)
    assert judge_traffic(slow, sides=SIDES, percent=100, check=check, baseline=0.2).new_p95 == 0.5
