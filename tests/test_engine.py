"""What a person sees of a pipeline while it runs."""

from __future__ import annotations

import time

import pytest

from gitops.flow.engine import _Progress

STARTED = "12:00:00.000 - INFO - Executing task \x1b[96m'fit'\x1b[0m\n"
FINISHED = (
    "12:00:09.000 - INFO - Task \x1b[96m'fit'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n"
)


def test_each_step_is_told_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with _Progress() as progress:
        progress.follow(STARTED)
        progress.follow(FINISHED)
    assert [(step.name, step.reason) for step in progress.steps] == [("fit", "success")]
    assert "fit         success in 0.0 s" in capsys.readouterr().err


def test_a_long_silence_is_broken_with_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with _Progress(silence=0.01) as progress:
        progress.follow(STARTED)
        progress.follow("    epoch 3 of 90\n")
        deadline = time.monotonic() + 10
        said = ""
        while "epoch 3 of 90" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().err
    assert "fit         goes on, 0 s so far  epoch 3 of 90" in said


def test_only_the_running_step_is_in_the_last_lines() -> None:
    with _Progress() as progress:
        progress.follow("    of the step before\n")
        progress.follow(STARTED)
        progress.follow("    KeyError: 'weight'\n")
    assert progress.tail == ["    KeyError: 'weight'"]


def test_what_a_step_prints_cannot_steer_the_terminal() -> None:
    with _Progress() as progress:
        progress.follow("\x1b]0;pwned\x07\x1b[2Jgone\n")
    assert progress.tail == ["\\x1b]0;pwned\\x07\\x1b[2Jgone"]
