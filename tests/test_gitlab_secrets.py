"""The token goes to its server and nowhere else, whatever the server and the network do."""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters import gitlab
from gitops.errors import GitopsError, InputError
from gitops.forge import CommitStatus, StatusState
from gitops.note import Marker
from tests.fake_gitlab import FaultKind, serve_other_host
from tests.fake_gitlab.stage import IID, PATH, SHA, TOKEN, Stage, open_stage

FORMS = (TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode().rstrip("=")[:-1])
FAULTS = (
    FaultKind.ECHO,
    FaultKind.BROKEN,
    FaultKind.PAGE,
    FaultKind.DROP,
    FaultKind.HANG,
    FaultKind.CONFLICT,
    FaultKind.BUSY,
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as stage:
        yield stage


def has_token(text: str) -> bool:
    return any(form in text for form in FORMS)


def use_everything(connection: gitlab.Connection) -> None:
    gitlab.read_merge_request(connection, PATH, IID)
    gitlab.upsert_note(connection, PATH, IID, Marker(scope="fuel"), "all well")
    status = CommitStatus(sha=SHA, name="gitops", state=StatusState.SUCCESS)
    gitlab.set_status(connection, PATH, status)
    gitlab.upload(connection, PATH, "rows.png", b"\x89PNG")
    gitlab.trigger_pipeline(connection, PATH, "main", {"IID": "7"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("verb", ["GET", "POST", "PUT"])
def test_another_host_never_sees_a_request(stage: Stage, verb: str, status: int) -> None:
    with serve_other_host() as other, stage.connect() as connection:
        gitlab.upsert_note(connection, PATH, IID, Marker(scope="fuel"), "before")
        notes = len(stage.fake.writes)
        scope = "churn" if verb == "POST" else "fuel"
        stage.fake.fail(
            FaultKind.REDIRECT, f"{verb} .*/notes", location=other.url, status=status, times=9
        )
        with pytest.raises(InputError, match="sends"):
            gitlab.upsert_note(connection, PATH, IID, Marker(scope=scope), "all well")
        assert other.seen == []
        assert len(stage.fake.writes) <= notes + 1


@pytest.mark.parametrize("status", [302, 307])
def test_a_write_is_not_sent_on_even_within_the_server(stage: Stage, status: int) -> None:
    stage.fake.fail(FaultKind.REDIRECT, "POST", location=stage.fake.url, status=status)
    with stage.connect() as connection, pytest.raises(InputError, match="sends a POST on"):
        gitlab.upsert_note(connection, PATH, IID, Marker(scope="fuel"), "all well")
    assert [call.method for call in stage.fake.record.calls] == ["GET", "POST"]


def test_a_redirect_within_the_server_is_followed(stage: Stage) -> None:
    stage.fake.fail(FaultKind.REDIRECT, "GET .*/merge_requests/7$", location=stage.fake.url)
    with stage.connect() as connection:
        assert gitlab.read_merge_request(connection, PATH, IID).sha == SHA


@pytest.mark.parametrize("kind", FAULTS)
def test_no_exception_shows_the_token(stage: Stage, kind: FaultKind) -> None:
    stage.fake.fail(kind, "GET", times=100, retry_after=3600)
    with stage.connect() as connection, pytest.raises(GitopsError) as caught:
        use_everything(connection)
    error = caught.value
    whole = "".join(traceback.format_exception(error))
    assert not has_token(f"{whole}{error!r}{error.what}{error.where}{error.hint}{vars(error)}")
    assert error.__context__ is None or not has_token(repr(vars(error.__context__)))


@pytest.mark.parametrize("kind", [None, *FAULTS])
def test_no_log_shows_the_token_at_debug_level(
    stage: Stage, kind: FaultKind | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # Clients of other services turn it down for the whole process.
    caplog.set_level(logging.DEBUG, logger="urllib3")
    if kind:
        stage.fake.fail(kind, "POST", times=100, retry_after=3600)
    with stage.connect() as connection:
        try:
            use_everything(connection)
        except GitopsError as error:
            logging.getLogger("gitops").exception("it failed", exc_info=error)
    assert "/api/v4" in caplog.text
    assert not has_token(caplog.text)
    assert not has_token(str(stage.fake.render_state()))


def test_a_connection_does_not_show_its_token(stage: Stage) -> None:
    with stage.connect() as connection:
        assert not has_token(f"{connection!r}{connection.redactor!r}{connection.limits!r}")


@pytest.mark.parametrize("token", ["", TOKEN + "\n", TOKEN + " x", TOKEN + "é", "\x00" + TOKEN])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(InputError) as caught:
        gitlab.connect("https://gitlab.example", token)
    assert not has_token("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "gitlab.example",
        "file:///etc/passwd",
        f"https://oauth2:{TOKEN}@gitlab.example",
        "https://gitlab.example:port",
        "https://[::1",
        "https://",
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(InputError) as caught:
        gitlab.connect(address, TOKEN)
    assert not has_token("".join(traceback.format_exception(caught.value)))


def test_a_process_shows_the_token_neither_in_its_output_nor_in_its_arguments(stage: Stage) -> None:
    code = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG)
from gitops.adapters import gitlab
limits = gitlab.Limits(read_seconds=1, attempts=1)
with gitlab.connect(sys.argv[1], os.environ["GITOPS_TOKEN"], limits=limits) as connection:
    print(gitlab.read_user(connection))
    gitlab.read_project(connection, "team/cars")
"""
    stage.fake.fail(FaultKind.ECHO, "GET /projects/")
    seen, stop = set[str](), threading.Event()
    sampler = threading.Thread(target=sample_arguments, args=(seen, stop))
    sampler.start()
    done = subprocess.run(
        [sys.executable, "-c", code, stage.fake.url],
        capture_output=True,
        text=True,
        env={"GITOPS_TOKEN": TOKEN, "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=False,
    )
    stop.set()
    sampler.join()
    assert done.returncode == 1
    assert "project_1_bot" in done.stdout
    assert "[redacted]" in done.stderr
    assert not has_token(done.stdout + done.stderr + "".join(seen))
    assert any(stage.fake.url in arguments for arguments in seen)


def sample_arguments(seen: set[str], stop: threading.Event) -> None:
    while not stop.is_set():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue  # the process ended while we looked
        time.sleep(0.02)


@given(
    st.binary(max_size=12), st.text(st.characters(codec="ascii"), min_size=8), st.binary(max_size=9)
)
def test_base64_of_a_secret_inside_anything_is_redacted(
    before: bytes, secret: str, after: bytes
) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert gitlab.Redactor(secret).redact(encoded) != encoded


def test_a_log_record_is_redacted_with_its_arguments_and_its_traceback() -> None:
    redactor, error = gitlab.Redactor(TOKEN), ValueError(TOKEN)
    record = logging.LogRecord("x", 10, "f", 1, "got %s", (TOKEN,), (ValueError, error, None))
    assert redactor.filter(record)
    text = logging.Formatter().format(record)
    assert "got [redacted]" in text
    assert "ValueError: [redacted]" in text
    assert not has_token(text)
