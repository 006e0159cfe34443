"""The gate takes a run as data: what it says of rows, champion and scores is made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops.errors import InputError, RefusedError
from gitops.flow.receiving import receive_run
from tests.review.kit import Desk

pytestmark = pytest.mark.slow


def test_the_gate_writes_verdict_reports_and_picture(gate_done: Desk) -> None:
    names = {path.name for path in gate_done.document("").iterdir()}
    assert {
        *("verdict.json", "junit.xml", "metrics.txt"),
        *("report.md", "report.html", "predictions.svg"),
    } <= names


def test_the_note_says_what_changed_and_no_command_that_ci_runs_itself(gate_done: Desk) -> None:
    text = gate_done.document("report.md").read_text("utf-8")
    assert "| `pipelines/fuel/pipeline.py` |" in text
    assert "gitops run production" not in text


def test_scores_and_rows_that_an_artifact_brings_are_not_looked_at(
    desk: Desk, gate_done: Desk
) -> None:
    """The same verdict, to the bit, as without the forged files."""
    for zone in ("untrusted", "judged"):
        for kind in ("scores", "splits"):
            for original in (gate_done.path / ".gitops/store/judged" / kind).iterdir():
                forged = desk.path / ".gitops/store" / zone / kind / original.name
                forged.parent.mkdir(parents=True, exist_ok=True)
                if original.is_dir():
                    shutil.copytree(original, forged)
                    (forged / "labels.jsonl").write_text('{"id": "x", "actual": 1.0}\n')
                else:
                    forged.write_text("{}")
    assert desk.gitops("gate", "--model", "fuel").returncode == 0
    assert desk.read("verdict.json") == gate_done.read("verdict.json")


def test_a_champion_that_the_run_claims_is_not_believed(desk: Desk) -> None:
    champion = {
        "version": "fuel@v9.0.0",
        "commit": "a" * 40,
        "source": "a" * 40,
        "bundle": "sha256:" + "b" * 64,
    }
    desk.change("run.json", champion={**champion, "holdout": "sha256:" + "c" * 64})
    _, run = receive_run(desk.open(), "fuel", desk.environ)
    assert run.champion is None


@pytest.mark.parametrize("facts", [{"commit": "f" * 40}, {"fingerprint": "sha256:" + "f" * 64}])
def test_a_run_of_something_else_is_refused(desk: Desk, facts: dict[str, str]) -> None:
    desk.change("run.json", **facts)
    with pytest.raises(RefusedError, match="not about this commit"):
        receive_run(desk.open(), "fuel", desk.environ)


def _bundle(desk: Desk) -> Path:
    (found,) = (desk.path / ".gitops/store/untrusted/bundles").iterdir()
    return found


def _flip_a_byte(desk: Desk) -> None:
    model = next(path for path in _bundle(desk).iterdir() if path.name.startswith("model."))
    content = model.read_bytes()
    model.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def _add_a_file(desk: Desk) -> None:
    (_bundle(desk) / "conftest.py").write_text("raise SystemExit")


def _link_out(desk: Desk) -> None:
    (_bundle(desk) / "more").symlink_to("/etc")


def _link_the_store(desk: Desk) -> None:
    store = desk.path / ".gitops/store"
    store.rename(desk.path.parent / "elsewhere")
    store.symlink_to(desk.path.parent / "elsewhere")


def _forget_the_bundle(desk: Desk) -> None:
    shutil.rmtree(_bundle(desk))


@pytest.mark.parametrize(
    "tamper", [_flip_a_byte, _add_a_file, _link_out, _link_the_store, _forget_the_bundle]
)
def test_a_bundle_that_is_not_the_one_named_is_refused(
    desk: Desk, tamper: Callable[[Desk], None]
) -> None:
    tamper(desk)
    with pytest.raises((RefusedError, InputError)):
        receive_run(desk.open(), "fuel", desk.environ)
    assert not (desk.path.parent / "elsewhere" / "judged").exists()
