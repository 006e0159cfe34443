"""What goes wrong between a job and Kubeflow Pipelines: one order still has one run, and no token leaks."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gitops.adapters.kfp.cluster import Cluster, Connection
from gitops.errors import GitopsError, InputError, OutsideError, RefusedError
from gitops.schedule import ScheduleAction, WantedSchedule
from gitops.supervision import RunOrder, RunState, Started, TaskState, Version
from tests.fake_kubeflow import FakeKubeflow, FaultKind, Mode, make_connection
from tests.fake_kubeflow.fixtures import fake, kubeflow, tiny

__all__ = ["fake", "kubeflow", "tiny"]

KEY = "fuel@v1.2.0"


@pytest.fixture
def version(fake: FakeKubeflow, kubeflow: Cluster, tiny: bytes) -> Version:
    version = kubeflow.upload("fuel", "v1", tiny)
    fake.calls.clear()
    return version


@pytest.fixture
def order(version: Version) -> RunOrder:
    return RunOrder(
        key=KEY,
        experiment="fuel",
        namespace="team-a",
        version=version,
        arguments={"word": "hello", "count": 3},
        group="!7/fuel",
    )


def finish(fake: FakeKubeflow, run_id: str, state: str) -> bool:
    fake.world.runs[run_id].body["state"] = state
    return True


class Time:
    """A clock that only sleeping moves; what happens on the way is given by `then`."""

    def __init__(self, then: Callable[[float], object] = bool) -> None:
        self.seconds = 1000.0
        self.then = then

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.then(self.seconds - 1000.0)


def watch(kubeflow: Cluster, started: Started, time: Time, **facts: Any) -> Any:
    given = {"deadline": 3600.0, "poll": 10.0, "on_lines": lambda _: None, **facts}
    return kubeflow.watch(started.run_id, clock=time.clock, sleep=time.sleep, **given)


# F5: one order, one run.


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.BROKEN_AFTER])
def test_a_lost_reply_to_the_creation_never_makes_a_second_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, kind: FaultKind
) -> None:
    fake.fail(kind, "POST /runs$")
    started = kubeflow.start(order)
    assert [run.body["run_id"] for run in fake.runs] == [started.run_id]
    assert len(fake.asked("POST /runs$")) == 1


def test_a_run_that_the_list_shows_late_is_found_instead_of_created_again(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    fake.fail(FaultKind.LOST, "POST /runs$")
    # The look before, then two looks that do not show it yet.
    fake.fail(FaultKind.HIDDEN, "GET /runs$", times=3)
    kubeflow.start(order)
    assert len(fake.runs) == 1
    assert len(fake.asked("POST /runs$")) == 1


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.BROKEN, FaultKind.BUSY, FaultKind.PAGE])
def test_a_creation_that_did_not_happen_is_asked_again(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, kind: FaultKind
) -> None:
    fake.fail(kind, "POST /runs$")
    started = kubeflow.start(order)
    assert [run.body["run_id"] for run in fake.runs] == [started.run_id]


def test_a_server_that_never_takes_the_run_is_an_outside_error_after_three_tries(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    fake.fail(FaultKind.BROKEN, "POST /runs$", times=99)
    with pytest.raises(OutsideError, match="503"):
        kubeflow.start(order)
    assert len(fake.asked("POST /runs$")) == 3
    assert fake.runs == []


def test_a_sign_in_page_instead_of_the_list_does_not_count_as_no_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    first = kubeflow.start(order)
    fake.fail(FaultKind.PAGE, "GET /runs$", times=99)
    with pytest.raises(OutsideError, match="not the answer of Kubeflow"):
        kubeflow.start(order)
    fake.faults.clear()
    assert kubeflow.start(order) == replace(first, attached=True)


def test_reads_are_repeated_and_wait_as_long_as_the_server_asks_up_to_a_cap(
    fake: FakeKubeflow, order: RunOrder
) -> None:
    waits: list[float] = []
    fake.fail(FaultKind.BUSY, "GET /experiments", retry_after="7")
    fake.fail(FaultKind.BUSY, "GET /experiments", retry_after="86400")
    fake.fail(FaultKind.BROKEN, "GET /experiments", retry_after="nonsense")
    fake.fail(FaultKind.DROP, "GET /experiments")
    Cluster(make_connection(fake, sleep=waits.append)).start(order)
    assert waits[0] == 7.0
    assert waits[1] == 30.0
    assert len(waits) == 4
    assert all(0 < wait <= 30.0 for wait in waits)


def test_of_two_runs_that_raced_the_older_stays_and_the_younger_is_ended(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    ours = kubeflow.start(order)
    fake.world.skew = -timedelta(seconds=30)
    theirs = fake.world.add_run(dict(fake.world.runs[ours.run_id].body))
    started = kubeflow.start(order)
    assert started.run_id == theirs.body["run_id"]
    assert {run.state for run in fake.runs} == {"RUNNING", "CANCELED"}
    assert fake.world.runs[ours.run_id].state == "CANCELED"


def test_a_pipeline_is_uploaded_once_though_every_reply_is_lost(
    fake: FakeKubeflow, kubeflow: Cluster, tiny: bytes
) -> None:
    fake.fail(FaultKind.LOST, "POST /pipelines$")
    fake.fail(FaultKind.LOST, "POST /pipelines/upload_version")
    version = kubeflow.upload("fuel", "v1", tiny)
    assert list(fake.world.pipelines) == [version.pipeline_id]
    assert list(fake.world.versions) == [version.version_id]
    assert len(fake.asked("POST")) == 2


def test_the_run_is_found_among_hundreds_of_names_that_contain_its_key(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    body = fake.world.runs[started.run_id].body
    fake.world.skew = timedelta(hours=1)
    for number in range(250):
        fake.world.add_run({**body, "display_name": f"{KEY}-other-{number}"})
    assert kubeflow.start(order) == replace(started, attached=True)
    assert len(fake.asked("GET /runs$")) >= 3


# T16: what runs is what was sent.


def alter_code(answer: dict[str, Any]) -> None:
    spec = answer["pipeline_spec"]["pipeline_spec"]
    spec["deploymentSpec"]["executors"]["exec-release"]["container"]["command"][-1] += "\n# more"


def alter_image(answer: dict[str, Any]) -> None:
    spec = answer["pipeline_spec"]["pipeline_spec"]
    spec["deploymentSpec"]["executors"]["exec-prepare"]["container"]["image"] = "evil:latest"


def alter_secret(answer: dict[str, Any]) -> None:
    executors = answer["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    config = executors["deploymentSpec"]["executors"]
    config["exec-prepare"] = config["exec-release"]


def drop_platform(answer: dict[str, Any]) -> None:
    answer["pipeline_spec"] = answer["pipeline_spec"]["pipeline_spec"]


def drop_all(answer: dict[str, Any]) -> None:
    del answer["pipeline_spec"]


def add_unknown(answer: dict[str, Any]) -> None:
    answer["pipeline_spec"]["pipeline_spec"]["root"]["surprise"] = {}


@pytest.mark.parametrize(
    "alter", [alter_code, alter_image, alter_secret, drop_platform, drop_all, add_unknown]
)
def test_a_version_that_reads_back_differently_is_refused(
    fake: FakeKubeflow, kubeflow: Cluster, tiny: bytes, alter: Callable[[dict[str, Any]], None]
) -> None:
    fake.fail(FaultKind.ALTERED, "GET /pipelines/[^/]+/versions/", alter=alter)
    with pytest.raises(RefusedError, match="it was not run"):
        kubeflow.upload("fuel", "v1", tiny)
    assert isinstance(kubeflow.upload("fuel", "v1", tiny), Version)


@pytest.mark.parametrize("what", ["pipeline_version_reference", "runtime_config", "description"])
def test_a_run_of_the_same_name_that_is_not_this_order_is_not_attached_to(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, what: str
) -> None:
    started = kubeflow.start(order)
    fake.world.runs[started.run_id].body.pop(what)
    with pytest.raises(RefusedError, match=f"another run has the name {KEY}"):
        kubeflow.start(order)
    assert len(fake.runs) == 1


def test_a_pipeline_of_another_namespace_is_not_used(
    fake: FakeKubeflow, kubeflow: Cluster, version: Version, tiny: bytes
) -> None:
    def move(answer: dict[str, Any]) -> None:
        answer["namespace"] = "team-b"

    fake.fail(FaultKind.ALTERED, "GET /pipelines/names/", alter=move)
    with pytest.raises(RefusedError, match="belongs to another namespace"):
        kubeflow.upload("fuel", "v2", tiny)


# T22: one active run per merge request.


def test_five_pushes_in_a_row_leave_one_active_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    other = kubeflow.start(replace(order, key="other", group="!8/fuel"))
    for number in range(5):
        key = f"push-{number}"
        kubeflow.start(replace(order, key=key))
        kubeflow.terminate_superseded("fuel", order.group, key)
        active = [run.body["display_name"] for run in fake.runs if run.state == "RUNNING"]
        assert active == ["other", key]
    assert fake.world.runs[other.run_id].state == "RUNNING"


# F6, F12: the true end, or an error in time.


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED", "SUCCEEDED", "ERROR"])
def test_watching_ends_with_every_state_that_is_an_end(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, state: str
) -> None:
    started = kubeflow.start(order)
    time = Time(lambda seconds: seconds >= 50 and finish(fake, started.run_id, state))
    done = watch(kubeflow, started, time)
    assert done.state == state
    assert done.has_succeeded is (state == "SUCCEEDED")
    assert time.seconds - 1000 < 70


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED", "PENDING", "SOMETHING_NEW"])
@pytest.mark.parametrize("skew", [timedelta(days=1), timedelta(days=-1)])
def test_a_run_that_never_ends_is_ended_at_the_deadline_whatever_the_clocks_say(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, state: str, skew: timedelta
) -> None:
    fake.world.skew = skew
    started = kubeflow.start(order)
    finish(fake, started.run_id, state)
    time = Time()
    with pytest.raises(OutsideError, match="took longer than 3600 s"):
        watch(kubeflow, started, time)
    assert 3600 <= time.seconds - 1000 < 3800
    assert len(fake.asked(":terminate")) == 1


def test_a_run_that_does_not_even_end_when_told_is_reported_so(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    finish(fake, started.run_id, "CANCELING")
    with pytest.raises(OutsideError, match="told to end, and has not yet"):
        watch(kubeflow, started, Time(), deadline=60.0)


def test_silence_is_borne_for_a_while_and_then_the_run_is_left_alone(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    fake.fail(FaultKind.BROKEN, "GET /runs/", times=50)
    time = Time(lambda seconds: seconds >= 200 and finish(fake, started.run_id, "SUCCEEDED"))
    assert watch(kubeflow, started, time, patience=600.0).has_succeeded
    finish(fake, started.run_id, "RUNNING")
    fake.fail(FaultKind.DROP, "GET /runs/", times=10_000)
    with pytest.raises(OutsideError, match="has not answered for"):
        watch(kubeflow, started, Time(), patience=60.0)
    assert fake.asked(":terminate") == []


def test_silences_do_not_add_up(fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder) -> None:
    started = kubeflow.start(order)

    def disturb(seconds: float) -> None:
        if seconds in (10, 400):
            # A GET is tried five times, so that this is 30 looks of 10 seconds.
            fake.fail(FaultKind.BROKEN, "GET /runs/", times=150)
        if seconds >= 800:
            finish(fake, started.run_id, "SUCCEEDED")

    assert watch(kubeflow, started, Time(disturb), patience=350.0).has_succeeded


def test_a_run_that_somebody_deleted_is_an_outside_error(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    fake.world.runs.clear()
    with pytest.raises(OutsideError, match="the run is gone"):
        watch(kubeflow, started, Time())


def test_a_silent_run_is_said_to_go_on(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    lines: list[str] = []
    time = Time(lambda seconds: seconds >= 100 and finish(fake, started.run_id, "SUCCEEDED"))
    watch(kubeflow, started, time, on_lines=lines.extend)
    assert lines == [f"    the run     goes on, {seconds} s so far" for seconds in (30, 60, 90)]


# F18: a cancelled job, a lost runner.


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_cancelling_the_job_ends_the_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, interruption: type[BaseException]
) -> None:
    started = kubeflow.start(order)

    def interrupt(_: float) -> None:
        raise interruption

    with pytest.raises(interruption):
        watch(kubeflow, started, Time(interrupt))
    assert fake.runs[0].state == "CANCELED"
    # Run again, the job makes another attempt of the same release.
    again = kubeflow.start(order)
    assert (again.name, again.attached) == (f"{KEY}-a2", False)


JOB = """
import os, signal
from gitops.adapters.kfp.cluster import Cluster, Connection
from gitops.supervision import RunOrder, Version
connection = Connection(host={url!r}, namespace="team-a", read_token=lambda: {token!r}, timeout=10)
version = Version(pipeline_id={version.pipeline_id!r}, version_id={version.version_id!r})
order = RunOrder(key={key!r}, experiment="fuel", namespace="team-a", version=version,
                 arguments={{"word": "hello", "count": 3}}, group="!7/fuel")
print(Cluster(connection).start(order).run_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_job_attaches_to_the_run_of_a_killed_one(
    fake: FakeKubeflow, kubeflow: Cluster, version: Version, order: RunOrder
) -> None:
    job = textwrap.dedent(JOB).format(url=fake.url, token=fake.token, version=version, key=KEY)
    killed = subprocess.run(
        [sys.executable, "-c", job], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    started = kubeflow.start(order)
    assert started == Started(run_id=killed.stdout.strip(), name=KEY, attached=True)
    assert len(fake.runs) == 1


# The token.


def test_a_rotated_token_is_read_again(fake: FakeKubeflow, order: RunOrder) -> None:
    held = ["stale", fake.token]
    connection = make_connection(fake, read_token=lambda: held.pop(0) if len(held) > 1 else held[0])
    started = Cluster(connection).start(order)
    fake.world.tokens["rotated"] = fake.world.tokens.pop(fake.token)
    fake.token = "rotated"
    held[0] = "rotated"
    assert Cluster(connection).start(order).run_id == started.run_id


def test_watching_outlives_a_token_that_is_refreshed_late(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    fake.world.tokens["next"] = fake.world.tokens.pop(fake.token)

    def refresh(seconds: float) -> None:
        if seconds >= 100:
            fake.token = "next"
            finish(fake, started.run_id, "SUCCEEDED")

    assert watch(kubeflow, started, Time(refresh)).has_succeeded


def test_a_token_that_the_server_does_not_know_is_bad_input(
    fake: FakeKubeflow, version: Version, order: RunOrder
) -> None:
    client = Cluster(make_connection(fake, read_token=lambda: "wrong-token"))
    with pytest.raises(InputError, match="401") as caught:
        client.start(order)
    assert "wrong-token" not in str(caught.value) + caught.value.hint
    assert fake.runs == []


def test_a_server_that_quotes_the_request_does_not_make_us_show_the_token(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    fake.fail(FaultKind.ECHO, "POST /runs$")
    with pytest.raises(InputError, match="what is this") as caught:
        kubeflow.start(order)
    assert "[hidden]" in str(caught.value)
    assert fake.token not in repr(caught.value) + caplog.text + repr(kubeflow.connection)


class _Stranger(BaseHTTPRequestHandler):
    seen: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers.get('Authorization')}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_stranger() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    _Stranger.seen.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("request_line", ["GET /experiments", "POST /runs$", "GET /runs$"])
def test_a_redirect_is_not_followed_with_the_token_or_without(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, request_line: str
) -> None:
    with serve_stranger() as place:
        fake.fail(FaultKind.REDIRECT, request_line, times=99, location=place)
        with pytest.raises(InputError, match="the token does not go there"):
            kubeflow.start(order)
        assert _Stranger.seen == []


@pytest.mark.parametrize(
    "host",
    [
        "http://kubeflow.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1:8888",
        "http://169.254.169.254",
        "https://user:password@kubeflow.example.org",
        "https://kubeflow.example.org/?next=1",
        "file:///etc/passwd",
        "https://",
        "https://kubeflow.example.org:99999",
        "gopher://127.0.0.1",
    ],
)
def test_an_address_that_no_token_should_go_to_is_refused(host: str) -> None:
    with pytest.raises(InputError, match=r"run\.host") as caught:
        Connection(host=host, namespace="team-a", read_token=str)
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["https://kubeflow.example.org/pipeline", "http://127.0.0.1:8888", "http://[::1]:1"]
)
def test_https_and_this_machine_are_addresses(host: str) -> None:
    assert Connection(host=host, namespace="team-a", read_token=str).host == host


def test_a_token_with_a_line_end_in_it_is_not_sent(fake: FakeKubeflow) -> None:
    client = Cluster(make_connection(fake, read_token=lambda: "two\nlines"))
    with pytest.raises(InputError, match="characters that no token has"):
        client.terminate("run")
    assert fake.calls == []


def test_a_server_that_hangs_is_given_up(fake: FakeKubeflow, order: RunOrder) -> None:
    fake.fail(FaultKind.HANG, "", times=99)
    client = Cluster(make_connection(fake, timeout=0.05, attempts=2))
    with pytest.raises(OutsideError, match="no answer from Kubeflow"):
        client.start(order)


def test_another_namespace_is_refused_in_words(fake: FakeKubeflow, order: RunOrder) -> None:
    fake.world.namespaces.add("team-b")
    fake.world.tokens[fake.token] = {"team-a"}
    client = Cluster(make_connection(fake, namespace="team-b"))
    with pytest.raises(GitopsError, match="no access to namespace 'team-b'"):
        client.start(replace(order, namespace="team-b"))


# Logs and schedules.


@pytest.mark.parametrize(
    ("pod", "said"),
    [("", "never had a pod"), ("gone", "pods not found"), ("../../healthz", "no log")],
)
def test_a_log_that_cannot_be_had_is_one_line_that_says_why(
    kubeflow: Cluster, order: RunOrder, pod: str, said: str
) -> None:
    started = kubeflow.start(order)
    (line,) = kubeflow.read_log(
        started.run_id, TaskState(name="train", state=RunState.FAILED, pod=pod)
    )
    assert said in line


def test_a_log_is_bounded_and_without_control_characters(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    text = "".join(f"line {number}\x1b[31m\x07{'x' * 1000}\n" for number in range(1000))
    fake.world.runs[started.run_id].logs["pod"] = text
    task = TaskState(name="train", state=RunState.FAILED, pod="pod")
    lines = kubeflow.read_log(started.run_id, task)
    assert [line[:8] for line in lines] == [f"line {number}" for number in range(975, 1000)]
    assert all(len(line) <= 500 and line.isprintable() for line in lines)


@pytest.fixture
def nightly(version: Version) -> WantedSchedule:
    return WantedSchedule(
        name="nightly",
        cron="0 0 3 * * *",
        experiment="fuel",
        version=version,
        arguments={"word": "night"},
    )


def test_a_lost_reply_never_makes_a_second_schedule(
    fake: FakeKubeflow, kubeflow: Cluster, nightly: WantedSchedule
) -> None:
    fake.fail(FaultKind.LOST, "POST /recurringruns")
    kubeflow.reconcile_schedules((nightly,), "cars")
    assert len(fake.world.schedules) == 1
    fake.fail(FaultKind.LOST, "DELETE /recurringruns")
    kubeflow.reconcile_schedules((), "cars")
    assert fake.world.schedules == {}


def test_a_reconciliation_killed_between_creating_and_deleting_is_finished_by_the_next(
    fake: FakeKubeflow, kubeflow: Cluster, nightly: WantedSchedule
) -> None:
    kubeflow.reconcile_schedules((nightly,), "cars")
    changed = replace(nightly, cron="0 0 5 * * *")
    fake.fail(FaultKind.UNKNOWN_TOKEN, "DELETE /recurringruns")
    with pytest.raises(InputError):
        kubeflow.reconcile_schedules((changed,), "cars")
    assert len(fake.world.schedules) == 2
    (change,) = kubeflow.reconcile_schedules((changed,), "cars")
    assert (change.action, change.reason) == (ScheduleAction.REMOVED, "there were two")
    (left,) = fake.world.schedules.values()
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 5 * * *"


def test_a_schedule_that_somebody_disabled_is_replaced_and_fires_what_was_wanted(
    fake: FakeKubeflow, kubeflow: Cluster, nightly: WantedSchedule
) -> None:
    kubeflow.reconcile_schedules((nightly,), "cars")
    next(iter(fake.world.schedules.values()))["status"] = "DISABLED"
    (change,) = kubeflow.reconcile_schedules((nightly,), "cars")
    assert change.reason == "somebody disabled it"
    fake.world.mode = Mode.SUCCEED
    run = fake.fire("nightly")
    assert (
        run.body["pipeline_version_reference"]["pipeline_version_id"] == nightly.version.version_id
    )
    assert run.body["runtime_config"]["parameters"] == {"word": "night"}
