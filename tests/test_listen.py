"""The webhook receiver: what it takes in, what it asks GitLab, and what it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.errors import InputError, OutsideError
from gitops.flow.credentials import need_secret, read_secret
from gitops.flow.listening import Gate, Keeper, drain, look_patiently
from gitops.webhook import Decision, Hint, sign
from tests.fake_gitlab import DEVELOPER, FaultKind
from tests.fake_gitlab.stage import IID, SHA, TOKEN, Stage, open_stage
from tests.fake_gitlab.world import Place
from tests.hook_kit import (
    HOOK_TOKEN,
    KEY,
    PROJECT,
    SIGNING_TOKEN,
    ask,
    deliver,
    event,
    make_inbox,
    poll,
)


class TestInbox:
    def test_an_event_becomes_a_hint(self) -> None:
        inbox = make_inbox()
        assert deliver(inbox, event()) == 202
        assert inbox.take(0) == Hint(project=PROJECT, iid=IID)
        assert inbox.take(0) is None

    def test_a_burst_of_events_is_one_hint(self) -> None:
        inbox = make_inbox()
        assert [deliver(inbox, event(), f"d{n}") for n in range(9)] == [202] * 9
        assert len(inbox) == 1

    def test_a_replay_is_told_so_and_does_nothing(self) -> None:
        inbox = make_inbox()
        assert deliver(inbox, event(), "d1") == 202
        inbox.take(0)
        assert deliver(inbox, event(), "d1") == 200
        assert inbox.take(0) is None

    def test_what_was_turned_away_may_come_again(self) -> None:
        inbox = make_inbox(waiting=1)
        assert deliver(inbox, event(iid=1), "d1") == 202
        assert deliver(inbox, event(iid=2), "d2") == 429
        inbox.take(0)
        assert deliver(inbox, event(iid=2), "d2") == 202

    def test_a_stranger_is_refused_whatever_the_body(self) -> None:
        inbox = make_inbox()
        assert deliver(inbox, event(), token="x") == 401
        assert deliver(inbox, b"\xff", token="") == 401
        assert len(inbox) == 0

    def test_other_events_and_other_projects_start_nothing(self) -> None:
        inbox = make_inbox()
        assert deliver(inbox, b'{"object_kind": "note"}') == 200
        assert deliver(inbox, event(project=666)) == 400
        assert deliver(inbox, b"{") == 400
        assert len(inbox) == 0


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened


@pytest.fixture
def gate(stage: Stage) -> Place:
    place = stage.fake.world.add_project("platform/gate")
    place.members[stage.bot] = DEVELOPER
    return place


def make_keeper(stage: Stage, gate: Place, *, forks: bool = False) -> Keeper:
    return Keeper(
        connection=stage.connect(),
        gate=Gate(project=gate.project["id"], ref="main", forks=forks),
    )


def look(keeper: Keeper, stage: Stage) -> Decision:
    return keeper.look(Hint(project=stage.place.project["id"], iid=IID))


class TestKeeper:
    def test_a_new_head_gets_one_pipeline_and_a_pending_status(
        self, stage: Stage, gate: Place
    ) -> None:
        keeper = make_keeper(stage, gate)
        assert look(keeper, stage).start
        assert not look(keeper, stage).start
        assert not look(make_keeper(stage, gate), stage).start, "another process sees the status"
        [pipeline] = gate.pipelines
        assert pipeline["ref"] == "main"
        assert {one["key"]: one["value"] for one in pipeline["variables"]} == {
            "GITOPS_PROJECT": str(stage.place.project["id"]),
            "GITOPS_MERGE_REQUEST": "7",
            "GITOPS_SHA": SHA,
            "GITOPS_STATUS": "gitops",
        }
        [status] = stage.place.statuses
        assert (status["sha"], status["status"], status["name"]) == (SHA, "pending", "gitops")
        assert status["target_url"] == pipeline["web_url"]

    def test_each_push_gets_its_own(self, stage: Stage, gate: Place) -> None:
        keeper = make_keeper(stage, gate)
        look(keeper, stage)
        stage.fake.world.move_head(stage.place, IID, "d" * 40)
        assert look(keeper, stage).start
        assert [status["sha"] for status in stage.place.statuses] == [SHA, "d" * 40]

    def test_a_closed_merge_request_gets_none(self, stage: Stage, gate: Place) -> None:
        """The event may say that it is open: GitLab is asked."""
        stage.place.merge_requests[IID]["state"] = "merged"
        assert not look(make_keeper(stage, gate), stage).start
        assert stage.written == []

    def test_a_fork_gets_one_only_where_that_is_allowed(self, stage: Stage, gate: Place) -> None:
        stage.place.merge_requests[IID]["source_project_id"] = 999
        assert "fork" in look(make_keeper(stage, gate), stage).reason
        assert stage.written == []
        assert look(make_keeper(stage, gate, forks=True), stage).start

    def test_somebody_elses_status_of_that_name_proves_nothing(
        self, stage: Stage, gate: Place
    ) -> None:
        other = stage.connect(token="glpat-mara")
        stage.fake.world.add_token("glpat-mara", stage.maintainer)
        other.post_once(
            f"/projects/{stage.place.project['id']}/statuses/{SHA}",
            {"state": "success", "name": "gitops"},
        )
        assert look(make_keeper(stage, gate), stage).start

    def test_a_lost_reply_starts_nothing_twice(self, stage: Stage, gate: Place) -> None:
        stage.fake.fail(FaultKind.LOST, match="POST .*/pipeline$")
        assert look(make_keeper(stage, gate), stage).start
        assert len(gate.pipelines) == 1

    def test_a_status_that_cannot_be_set_starts_nothing_twice(
        self, stage: Stage, gate: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.fake.fail(FaultKind.BROKEN, match="POST .*/statuses/", times=3)
        keeper = make_keeper(stage, gate)
        assert look(keeper, stage).start
        assert not look(keeper, stage).start
        assert len(gate.pipelines) == 1
        assert "its status could not be set" in capsys.readouterr().err

    def test_a_head_that_moves_meanwhile_gets_no_status(self, stage: Stage, gate: Place) -> None:
        stage.fake.fail(FaultKind.MOVED, match="POST .*/pipeline$", sha="e" * 40)
        look(make_keeper(stage, gate), stage)
        assert stage.place.statuses == []

    def test_a_silent_gitlab_is_an_error_worth_another_try(self, stage: Stage, gate: Place) -> None:
        stage.fake.fail(FaultKind.BROKEN, match="merge_requests", times=3)
        with pytest.raises(OutsideError):
            look(make_keeper(stage, gate), stage)


def test_a_silent_gitlab_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitops.flow.listening.RETRY_SECONDS", 0.01)
    asked: list[Hint] = []

    def answer(hint: Hint) -> Decision:
        asked.append(hint)
        if len(asked) < 3:
            raise OutsideError("no answer")
        return Decision(start=True, reason="new")

    look_patiently(Hint(project=1, iid=1), answer, threading.Event())
    assert len(asked) == 3


def test_what_is_left_at_the_end_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    inbox, times = make_inbox(), iter([0.0, 1.0, 1000.0])
    deliver(inbox, event(iid=1))
    deliver(inbox, event(iid=2))
    drain(inbox, lambda hint: Decision(start=True, reason="new"), lambda: next(times))
    said = capsys.readouterr().err
    assert "merge request 1: started" in said
    assert "merge request 2: not looked at any more" in said


class TestSecrets:
    def test_a_secret_comes_from_a_variable_or_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("s3cret\n")
        assert read_secret({"NAME": "s3cret"}, "NAME") == "s3cret"
        assert read_secret({"NAME_FILE": str(file)}, "NAME") == "s3cret"
        assert read_secret({}, "NAME") == ""

    def test_what_is_not_clear_is_refused_without_showing_it(self, tmp_path: Path) -> None:
        file = tmp_path / "empty"
        file.write_text("\n")
        for environ in (
            {"NAME": "s3cret", "NAME_FILE": str(file)},
            {"NAME_FILE": str(file)},
            {"NAME_FILE": str(tmp_path / "absent")},
            {},
        ):
            with pytest.raises(InputError) as caught:
                need_secret(environ, "NAME")
            assert "s3cret" not in f"{caught.value} {caught.value.hint}"


class Listener:
    """`gitops listen` as a process of its own."""

    def __init__(self, folder: Path, stage: Stage, **environ: str) -> None:
        self.ready, self.log = folder / "ready.json", folder / "log"
        own = {
            "PATH": os.environ["PATH"],
            "CI_SERVER_URL": stage.fake.url,
            "GITOPS_GITLAB_TOKEN": TOKEN,
            "GITOPS_WEBHOOK_TOKEN": HOOK_TOKEN,
            "GITOPS_WEBHOOK_SIGNING_TOKEN": SIGNING_TOKEN,
        }
        words = ["--project", "team/cars", "--gate", "platform/gate", "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gitops", "listen", *words, "--ready-file", self.ready],
                env=own | environ,
                stdout=log,
                stderr=log,
            )

    @property
    def port(self) -> int:
        assert poll(lambda: self.ready.exists() or self.process.poll() is not None)
        return int(json.loads(self.ready.read_text())["port"])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def sign_now(body: bytes, name: str, key: bytes = KEY) -> dict[str, str]:
    stamp = str(int(time.time()))
    return {
        "X-Gitlab-Token": HOOK_TOKEN,
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": sign(key, name, stamp, body).decode(),
    }


def test_the_command_starts_one_pipeline_and_tells_no_secret(
    tmp_path: Path, stage: Stage, gate: Place
) -> None:
    listener = Listener(tmp_path, stage)
    port, body = listener.port, event(stage.place.project["id"])
    headers = sign_now(body, "d1")
    assert ask(port, "POST", "/webhook", body, headers)[0] == 202
    assert ask(port, "POST", "/webhook", body, headers)[0] == 200
    assert ask(port, "POST", "/webhook", body, sign_now(body, "d2", bytes(32)))[0] == 401
    assert poll(lambda: stage.place.statuses)
    words = Path(f"/proc/{listener.process.pid}/cmdline").read_text()
    assert listener.stop() == 0
    assert len(gate.pipelines) == 1
    said = listener.log.read_text()
    assert "merge request 7: started" in said
    for secret in (TOKEN, HOOK_TOKEN, SIGNING_TOKEN):
        assert secret not in said + words


def test_what_waits_is_done_before_the_command_ends(
    tmp_path: Path, stage: Stage, gate: Place
) -> None:
    listener = Listener(tmp_path, stage)
    port, body = listener.port, event(stage.place.project["id"])
    assert ask(port, "POST", "/webhook", body, sign_now(body, "d1"))[0] == 202
    assert listener.stop() == 0
    assert len(gate.pipelines) == 1


@pytest.mark.parametrize(
    ("environ", "code", "why"),
    [
        ({"GITOPS_WEBHOOK_TOKEN": "", "GITOPS_WEBHOOK_SIGNING_TOKEN": ""}, 2, "obey anybody"),
        ({"GITOPS_GITLAB_TOKEN": ""}, 2, "GITOPS_GITLAB_TOKEN is not set"),
        ({"CI_SERVER_URL": "http://127.0.0.1:9"}, 4, "no answer"),
    ],
)
def test_it_does_not_begin_without_what_it_needs(
    tmp_path: Path, stage: Stage, environ: dict[str, str], code: int, why: str
) -> None:
    listener = Listener(tmp_path, stage, **environ)
    assert listener.process.wait(timeout=60) == code
    assert why in listener.log.read_text()
