"""The demo notices an ending that it did not promise, and takes nothing from this machine."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.demo.play import Checked, find_problems
from tests.demo.samples import CARS, ROOT, WATER, fill_gaps, lose_points, read_sample
from tests.demo.stage import HERE, Stage, make_environment, open_stage
from tests.demo.story import MERGE_REQUESTS, Data, End, MergeRequest
from tests.demo.voice import Finished, Voice

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = MERGE_REQUESTS[2]
REFUSED = MERGE_REQUESTS[6]


def make_checked(
    end: End, code: int, rule: str = "", reason: str = "", rows: int = ORIGIN.rows
) -> Checked:
    findings = ({"rule": rule, "outcome": str(end), "rows": rows},) if rule else ()
    return Checked(
        finished=Finished(code=code, lines=(), seconds=0.0),
        planned=(),
        end=end,
        reason=reason,
        findings=findings,
        pages=(),
    )


@pytest.mark.parametrize("request_", MERGE_REQUESTS, ids=lambda each: each.name)
def test_every_merge_request_changes_something(request_: MergeRequest) -> None:
    folder = HERE / "merge_requests" / request_.folder
    assert folder.is_dir() or request_.own or request_.data is not Data.KEPT
    assert all((ROOT / name).is_file() for name in request_.own)


def test_the_promised_ending_is_no_problem() -> None:
    assert not find_problems(ORIGIN, make_checked(End.FAIL, 1, ORIGIN.finding))


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        (make_checked(End.PASS, 0, ORIGIN.finding), "ended PASS, not FAIL"),
        (make_checked(End.FAIL, 1, "r2.min"), "rmse.max_regression did not decide; r2.min did"),
        (make_checked(End.FAIL, 0, ORIGIN.finding), "exit code 0"),
        (make_checked(End.FAIL, 1, ORIGIN.finding, rows=7), "judged on 7 held-out rows, not 91"),
    ],
)
def test_any_other_ending_is_named(checked: Checked, said: str) -> None:
    assert said in "\n".join(find_problems(ORIGIN, checked))


def test_a_refusal_must_name_the_command_that_mends_it() -> None:
    mended = make_checked(End.REFUSED, 2, reason="not on the remote; dvc push data/auto-mpg.csv")
    assert not find_problems(REFUSED, mended)
    assert find_problems(REFUSED, make_checked(End.REFUSED, 2, reason="not on the remote"))


def test_a_waiver_is_for_what_the_gate_cannot_tell() -> None:
    (waived,) = [each for each in MERGE_REQUESTS if each.waiver]
    assert waived.end is End.INCONCLUSIVE
    assert not find_problems(
        waived, make_checked(End.INCONCLUSIVE, 5, waived.finding, rows=waived.rows)
    )


def test_lost_points_change_numbers_and_leave_words_alone() -> None:
    lost = lose_points([["acc", "hp", "name"], ["15.5", "?", "audi 100.5 ls"], ["12", "", "bmw"]])
    assert lost == [["acc", "hp", "name"], ["155", "?", "audi 100.5 ls"], ["12", "", "bmw"]]


def test_a_gap_is_filled_with_the_mean_of_its_class_and_nothing_else_changes() -> None:
    filled = fill_gaps([["ph", "fit"], ["6", "0"], ["", "0"], ["7", "0"], ["9", "1"], ["", "1"]])
    assert [row[0] for row in filled] == ["ph", "6", "6.5", "7", "9", "9.0"]


def test_the_samples_are_the_committed_ones() -> None:
    assert [len(read_sample(name)) for name in (CARS, WATER)] == [398, 3277]


def test_nothing_of_the_machine_reaches_the_commands(tmp_path: Path) -> None:
    environ = make_environment(tmp_path, {"PATH": "/bin", "GITLAB_CI": "true", "AWS_PROFILE": "x"})
    assert not {"GITLAB_CI", "AWS_PROFILE"} & set(environ)
    assert environ["HOME"] == str(tmp_path / "home")


def test_a_log_has_neither_colour_nor_progress(tmp_path: Path) -> None:
    stream = io.StringIO()
    voice = Voice(stream, {}, tmp_path)
    code = "print('\\x1b[32mPASS\\x1b[0m'); raise SystemExit(3)"
    command = (sys.executable, "-c", code)
    finished = voice.run(command, shown="x", where="desk", cwd=tmp_path, env=dict(os.environ))
    assert (finished.code, finished.lines) == (3, ("PASS",))
    assert stream.getvalue() == "  desk $ x\n    PASS\n"
    assert (tmp_path / "01.txt").read_text("utf-8").endswith("PASS\n[3]\n")


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    stream = io.StringIO()
    Voice(stream, {}, tmp_path).quote([str(number) for number in range(9)], keep=2)
    *rest, last = stream.getvalue().splitlines()
    assert "7 more in" in last
    assert rest == ["    7", "    8"]


def test_the_world_begins_with_data_and_a_policy_but_no_model(tmp_path: Path) -> None:
    stage: Stage = open_stage(tmp_path / "demo", os.environ)
    files = stage.git("ls-files", cwd=stage.ci).splitlines()
    assert {"gitops.yaml", "data/auto-mpg.csv.dvc", ".dvc/config"} <= set(files)
    assert not [name for name in files if name.startswith("pipelines/")]
    assert "data/auto-mpg.csv" not in files
    assert len(list((stage.remote / "files/md5").glob("*/*"))) == 1
