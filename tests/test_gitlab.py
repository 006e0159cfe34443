"""What is read from GitLab arrives as values; what it does not tell is None, and a lie is an error."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.adapters import gitlab
from gitops.errors import InputError, OutsideError
from gitops.forge import LabelAction, Role, make_role
from tests.fake_gitlab import FaultKind
from tests.fake_gitlab.answers import ANSWERS
from tests.fake_gitlab.contract import read_endpoints
from tests.fake_gitlab.stage import IID, PATH, SHA, TOKEN, Stage, open_stage

ROOT = Path(__file__).parent.parent


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as stage:
        yield stage


@pytest.fixture
def connection(stage: Stage) -> Iterator[gitlab.Connection]:
    with stage.connect() as connection:
        yield connection


def test_a_merge_request_is_read(stage: Stage, connection: gitlab.Connection) -> None:
    request = gitlab.read_merge_request(connection, PATH, IID)
    assert (request.sha, request.is_open, request.is_fork) == (SHA, True, False)
    assert request.author.username == "cleo"


@pytest.mark.parametrize("source", [999, None])
def test_a_fork_is_told_even_when_it_was_deleted(
    stage: Stage, connection: gitlab.Connection, source: int | None
) -> None:
    stage.place.merge_requests[IID]["source_project_id"] = source
    assert gitlab.read_merge_request(connection, PATH, IID).is_fork


def test_a_project_can_be_named_by_id_and_by_path(
    stage: Stage, connection: gitlab.Connection
) -> None:
    by_path = gitlab.read_project(connection, PATH)
    assert by_path == gitlab.read_project(connection, by_path.id)


def test_settings_that_the_token_may_not_see_are_unknown(
    stage: Stage, connection: gitlab.Connection
) -> None:
    assert gitlab.read_project(connection, PATH).fork_pipelines_in_parent is None
    stage.place.members[stage.bot] = Role.MAINTAINER
    assert gitlab.read_project(connection, PATH).fork_pipelines_in_parent is False


def test_who_set_a_label_and_when_is_read_oldest_first(
    stage: Stage, connection: gitlab.Connection
) -> None:
    world = stage.fake.world
    world.set_label(stage.place, IID, stage.contributor, "waived")
    world.set_label(stage.place, IID, stage.contributor, "waived", action="remove")
    world.set_label(stage.place, IID, stage.maintainer, "waived")
    events = gitlab.read_label_events(connection, PATH, IID)
    assert [event.action for event in events] == [
        LabelAction.ADD,
        LabelAction.REMOVE,
        LabelAction.ADD,
    ]
    assert events[-1].user is not None
    role = gitlab.read_member_role(connection, PATH, events[-1].user.id)
    assert role is Role.MAINTAINER


def test_an_approval_can_be_compared_with_the_push_that_it_saw(
    stage: Stage, connection: gitlab.Connection
) -> None:
    stage.fake.world.approve(stage.place, IID, stage.maintainer)
    stage.fake.world.move_head(stage.place, IID, "d" * 40)
    (approval,) = gitlab.read_approvals(connection, PATH, IID)
    new, old = gitlab.read_versions(connection, PATH, IID)
    assert (new.head, old.head) == ("d" * 40, SHA)
    assert approval.at is not None
    assert old.created_at < approval.at < new.created_at


def test_somebody_who_is_no_member_has_no_role(stage: Stage, connection: gitlab.Connection) -> None:
    assert gitlab.read_member_role(connection, PATH, 4711) is Role.NONE


def test_members_are_read_with_their_roles(stage: Stage, connection: gitlab.Connection) -> None:
    roles = {user.username: role for user, role in gitlab.read_members(connection, PATH)}
    assert roles == {
        "cleo": Role.DEVELOPER,
        "project_1_bot": Role.DEVELOPER,
        "mara": Role.MAINTAINER,
    }


@pytest.mark.parametrize(
    ("level", "role"), [(0, Role.NONE), (25, Role.REPORTER), (40, Role.MAINTAINER), (-1, Role.NONE)]
)
def test_an_unknown_access_level_counts_as_the_lower_role(level: int, role: Role) -> None:
    assert make_role(level) is role


def test_a_protected_branch_says_who_may_push(stage: Stage, connection: gitlab.Connection) -> None:
    stage.place.protected_branches.append(
        {
            "id": 1,
            "name": "main",
            "push_access_levels": [{"access_level": 0}, {"user_id": 3, "access_level": 40}],
            "merge_access_levels": [{"access_level": 40}],
            "allow_force_push": False,
        }
    )
    (branch,) = gitlab.read_protected_branches(connection, PATH)
    assert branch.push == (Role.NONE, Role.MAINTAINER)
    assert branch.has_exceptions
    assert not branch.allows_force_push


def test_a_variable_is_read_without_its_value(stage: Stage) -> None:
    stage.place.members[stage.bot] = Role.MAINTAINER
    stage.place.variables.append(
        {"key": "KUBE", "value": "s3cr3t", "protected": True, "masked": False}
    )
    with stage.connect() as connection:
        (variable,) = gitlab.read_variables(connection, PATH)
    assert (variable.key, variable.is_protected, variable.is_masked) == ("KUBE", True, False)
    assert "s3cr3t" not in repr(variable)


def test_the_token_says_what_it_may_do(stage: Stage, connection: gitlab.Connection) -> None:
    facts = gitlab.read_token(connection)
    assert facts.scopes == ("api",)
    assert facts.expires_on is not None
    assert gitlab.read_user(connection).id == stage.bot


def test_pipelines_of_a_commit_are_read_newest_first(
    stage: Stage, connection: gitlab.Connection
) -> None:
    made = [stage.fake.world.add_pipeline(stage.place, sha=SHA)["id"] for _ in range(3)]
    stage.fake.world.add_pipeline(stage.place, sha="d" * 40)
    found = gitlab.read_pipelines(connection, PATH, sha=SHA)
    assert [pipeline.id for pipeline in found] == made[::-1]


def test_pipelines_of_a_merge_request_are_read(stage: Stage, connection: gitlab.Connection) -> None:
    stage.fake.world.add_pipeline(stage.place, ref=f"refs/merge-requests/{IID}/head", sha=SHA)
    (pipeline,) = gitlab.read_merge_request_pipelines(connection, PATH, IID)
    assert pipeline.sha == SHA


@pytest.mark.parametrize("kind", [None, FaultKind.LOST, FaultKind.BROKEN, FaultKind.BUSY])
def test_a_pipeline_is_triggered_once(
    stage: Stage, connection: gitlab.Connection, kind: FaultKind | None
) -> None:
    stage.fake.world.add_pipeline(stage.place, source="api", variables=[])
    if kind:
        stage.fake.fail(kind, "POST .*/pipeline", retry_after=0)
    started = gitlab.trigger_pipeline(connection, PATH, "main", {"B": "2", "A": "$(touch x)"})
    assert [one["id"] for one in stage.place.pipelines][1:] == [started.id]
    assert stage.place.pipelines[1]["variables"][0] == {"key": "A", "value": "$(touch x)"}


def test_an_upload_comes_back_as_markdown(stage: Stage, connection: gitlab.Connection) -> None:
    markdown = gitlab.upload(connection, PATH, "rows.png", b"\x89PNG")
    (stored,) = stage.place.uploads
    assert markdown == f"![rows]({stored['url']})"
    assert stored["size"] == 4


def test_the_state_of_the_fake_can_be_read_after_an_upload(
    stage: Stage, connection: gitlab.Connection
) -> None:
    gitlab.upload(connection, PATH, "rows.png", b"\x89PNG")
    with urllib.request.urlopen(f"{stage.fake.url}/_fake/state") as answer:
        assert json.load(answer)["projects"][PATH]["uploads"]


def test_an_upload_is_repeated_only_when_it_was_refused(
    stage: Stage, connection: gitlab.Connection
) -> None:
    stage.fake.fail(FaultKind.BUSY, "POST .*/uploads", retry_after=0)
    gitlab.upload(connection, PATH, "rows.png", b"\x89PNG")
    stage.fake.fail(FaultKind.LOST, "POST .*/uploads")
    with pytest.raises(OutsideError):
        gitlab.upload(connection, PATH, "rows.png", b"\x89PNG")
    assert len(stage.place.uploads) == 2


@pytest.mark.parametrize("name", ["../rows.png", "a b.png", "x](http://evil).png", ".png", "rows"])
def test_an_upload_needs_a_plain_name(connection: gitlab.Connection, name: str) -> None:
    with pytest.raises(InputError):
        gitlab.upload(connection, PATH, name, b"")


@pytest.mark.parametrize("project", ["team/other", "../user", "team/cars/../../../user", "x?y#z"])
def test_a_project_name_stays_one_part_of_the_path(
    stage: Stage, connection: gitlab.Connection, project: str
) -> None:
    with pytest.raises(InputError, match="no such thing"):
        gitlab.read_project(connection, project)


def test_an_expired_token_is_told_apart_from_an_outage(stage: Stage) -> None:
    stage.fake.world.tokens[TOKEN]["active"] = False
    with stage.connect() as connection, pytest.raises(gitlab.AnswerError) as caught:
        gitlab.read_user(connection)
    assert (caught.value.status, caught.value.exit_code) == (401, 2)
    assert len(stage.fake.record.calls) == 1


def test_a_sign_in_page_is_not_taken_for_an_answer(
    stage: Stage, connection: gitlab.Connection
) -> None:
    stage.fake.fail(FaultKind.PAGE, "GET", times=100)
    with pytest.raises(OutsideError, match="page instead of data"):
        gitlab.read_merge_request(connection, PATH, IID)


@pytest.mark.parametrize(
    ("field", "value"), [("sha", None), ("iid", True), ("author", []), ("target_project_id", "1")]
)
def test_an_answer_with_another_shape_is_an_error_not_a_guess(
    stage: Stage, connection: gitlab.Connection, field: str, value: object
) -> None:
    stage.place.merge_requests[IID][field] = value
    with pytest.raises(OutsideError, match=field):
        gitlab.read_merge_request(connection, PATH, IID)


def test_every_endpoint_of_the_contract_has_an_answer() -> None:
    assert {endpoint.name for endpoint in read_endpoints()} == set(ANSWERS)


def test_the_fake_runs_as_a_process_that_others_can_fill_and_read(tmp_path: Path) -> None:
    ready, seed = tmp_path / "ready", tmp_path / "seed.json"
    users = [{"id": 1, "username": "bot"}]
    project = {"path": PATH, "members": {"1": 30}, "merge_requests": [{"iid": IID, "sha": SHA}]}
    document = {"users": users, "tokens": [{"token": TOKEN, "user": 1}], "projects": [project]}
    seed.write_text(json.dumps(document), "utf-8")
    options = ["--ready-file", str(ready), "--seed", str(seed)]
    command = [sys.executable, "-m", "tests.fake_gitlab", *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 20
            while not ready.exists() and time.monotonic() < end:
                time.sleep(0.01)
            url = ready.read_text("utf-8").strip()
            with gitlab.connect(url, TOKEN) as connection:
                assert gitlab.read_merge_request(connection, PATH, IID).sha == SHA
            with urllib.request.urlopen(f"{url}/_fake/state") as answer:
                state = json.load(answer)
        finally:
            process.send_signal(signal.SIGTERM)
    assert [call["path"] for call in state["calls"]] == ["/projects/team%2Fcars/merge_requests/7"]
    assert TOKEN not in json.dumps(state)
