"""`gitops waive`, and what a waiver does in real repositories: nothing until it is merged, and then once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml

from gitops.adapters import documents
from gitops.change import Kind
from gitops.cli import main
from gitops.config import ModelConfig
from gitops.errors import GitopsError, InputError, RefusedError, UndecidedError
from gitops.flow.judging import read_verdict
from gitops.flow.planning import plan_changes
from gitops.flow.releasing import find_waiver, write_release
from gitops.flow.waiving import find_next_steps, read_today, waive, weigh_head
from gitops.flow.workspace import Workspace
from gitops.gate.verdict import Outcome, Verdict
from gitops.plan import Action
from gitops.release import Release, ReleaseStep
from gitops.waiver import make_waiver_path, parse_waiver
from tests.release_kit import (
    TODAY,
    commit,
    count_objects,
    git,
    make_project,
    make_remote,
    open_project,
    release_project,
    write,
    write_judged,
)

LATER = "9999-12-31"
FOLDER = "models/fuel.waivers"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose one model was judged INCONCLUSIVE at the tip of main; commands run in it."""
    _, folder = make_project(tmp_path, "fuel")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.org")
    write_judged(open_project(folder), outcome=Outcome.INCONCLUSIVE)
    monkeypatch.chdir(folder)
    return folder


def record(checkout: Path, *, expires: str = LATER, today: date = TODAY) -> str:
    """Waive the last verdict; return the path of the waiver."""
    workspace = open_project(checkout)
    model = workspace.model("fuel")
    waived = waive(workspace, model, reason="few cars", by="", expires=expires, today=today)
    return waived.path


def merge(checkout: Path) -> None:
    """Bring what is in the work tree to the target branch, as a merge would."""
    commit(checkout, "Waive the verdict on fuel")
    git(checkout, "fetch", "--quiet", "origin")


def release(checkout: Path, today: date = TODAY) -> Release:
    workspace = open_project(checkout)
    return release_project(workspace, read_verdict(workspace, "fuel"), today=today)


def refuse(
    checkout: Path, kind: type[GitopsError] = UndecidedError, today: date = TODAY
) -> GitopsError:
    """Try to release; return why it did not, having made sure that nothing left this machine."""
    origin = checkout.parent / "origin.git"
    before = git(origin, "for-each-ref")
    with pytest.raises(kind) as error:
        release(checkout, today)
    assert git(origin, "for-each-ref") == before
    assert count_objects(checkout.parent / "dvc-remote") == 0
    return error.value


def edit(checkout: Path, path: str, change: Callable[[dict[str, object]], object]) -> None:
    body = json.loads((checkout / path).read_text())
    change(body)
    write(checkout, path, json.dumps(body))


# The command


def test_the_command_writes_what_the_reviewer_merges(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["waive", "fuel", "--reason", "a week of\nnew cars", "--expires", LATER]) == 0
    verdict = read_verdict(open_project(checkout), "fuel")
    path = make_waiver_path(FOLDER, verdict.key)
    waiver = parse_waiver((checkout / path).read_bytes(), path)
    assert (waiver.by, waiver.why) == ("Ada <ada@example.org>", "a week of new cars")
    assert (waiver.verdict.key, waiver.verdict.findings) == (verdict.key, ("rmse.max",))
    assert documents.read_document(checkout / path, "waiver")["expires"] == LATER
    assert f"git add {path}" in capsys.readouterr().err


def test_it_counts_for_thirty_days_after_the_commit_unless_told_otherwise(checkout: Path) -> None:
    path = record(checkout, expires="")
    assert json.loads((checkout / path).read_text())["expires"] == "2026-02-04"


def test_somebody_else_can_be_named(checkout: Path) -> None:
    command = ["waive", "fuel", "--reason", "asked", "--expires", LATER, "--by", "Grace Hopper"]
    assert main(command) == 0
    (file,) = (checkout / FOLDER).iterdir()
    assert json.loads(file.read_text())["by"] == "Grace Hopper"


def test_git_s_user_must_be_somebody(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(checkout, "config", "--unset", "user.name")
    monkeypatch.setenv("HOME", str(checkout))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(checkout))
    with pytest.raises(InputError, match="nobody is named") as error:
        record(checkout)
    assert "--by" in error.value.hint


def test_a_pass_is_not_waived(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_judged(open_project(checkout))
    assert main(["waive", "fuel", "--reason", "to be sure"]) == 2
    assert "nothing to waive" in capsys.readouterr().err
    assert not (checkout / FOLDER).exists()


def test_the_verdict_on_an_earlier_commit_is_not_waived(checkout: Path) -> None:
    write(checkout, "pipelines/fuel/pipeline.py", "# other\n")
    git(checkout, "commit", "--quiet", "-am", "Other code")
    with pytest.raises(RefusedError, match="about other code or data") as error:
        record(checkout)
    assert "gitops check" in error.value.hint


def test_a_folder_that_is_a_link_is_not_written_through(checkout: Path) -> None:
    elsewhere = checkout.parent / "elsewhere"
    elsewhere.mkdir()
    (checkout / "models").mkdir()
    (checkout / FOLDER).symlink_to(elsewhere)
    with pytest.raises(InputError, match="symbolic link"):
        record(checkout)
    assert not list(elsewhere.iterdir())


def test_a_waiver_that_would_change_what_it_waives_is_refused(checkout: Path) -> None:
    content = yaml.safe_load((checkout / "gitops.yaml").read_text())
    content["models"]["fuel"]["sources"] = ["pipelines/fuel", "models/fuel.waivers"]
    write(checkout, "gitops.yaml", yaml.safe_dump(content))
    write(checkout, "models/fuel.waivers/README.md", "who waived what\n")
    merge(checkout)
    write_judged(open_project(checkout), outcome=Outcome.FAIL)
    with pytest.raises(InputError, match="would be sources of the model"):
        record(checkout)


# Without a waiver that counts, nothing is released


@pytest.mark.parametrize(
    ("outcome", "kind"), [(Outcome.INCONCLUSIVE, UndecidedError), (Outcome.FAIL, RefusedError)]
)
def test_without_a_waiver_the_way_out_is_named(
    checkout: Path, outcome: Outcome, kind: type[GitopsError]
) -> None:
    write_judged(open_project(checkout), outcome=outcome)
    assert "gitops waive fuel" in refuse(checkout, kind).hint


def test_a_waiver_in_the_work_tree_does_nothing(checkout: Path) -> None:
    path = record(checkout)
    said = str(refuse(checkout))
    assert f"{path} does nothing: it is not on main yet: commit it, and merge it" in said


def test_a_waiver_on_a_branch_does_nothing(checkout: Path) -> None:
    record(checkout)
    git(checkout, "switch", "--quiet", "-c", "topic")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "-m", "Waive")
    git(checkout, "push", "--quiet", "origin", "topic")
    assert "only merged work is released" in str(refuse(checkout, RefusedError))
    git(checkout, "switch", "--quiet", "main")
    assert "does nothing" not in str(refuse(checkout))


def test_a_tracking_branch_that_lies_changes_nothing(checkout: Path) -> None:
    """Whether a waiver is merged is read from the remote itself."""
    record(checkout)
    source = git(checkout, "rev-parse", "HEAD")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "-m", "Waive")
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(checkout, "checkout", "--quiet", source)
    assert "is not released" in str(refuse(checkout))


def test_an_expired_waiver_does_nothing(checkout: Path) -> None:
    path = record(checkout, expires="2026-01-05")
    merge(checkout)
    said = str(refuse(checkout, today=date(2026, 1, 6)))
    assert f"{path} does nothing: it expired on 2026-01-05" in said


def test_a_waiver_of_an_earlier_push_does_nothing(checkout: Path) -> None:
    record(checkout)
    write(checkout, "pipelines/fuel/pipeline.py", "# one push later\n")
    merge(checkout)
    write_judged(open_project(checkout), "b", outcome=Outcome.INCONCLUSIVE)
    assert "code, data or parameters changed" in str(refuse(checkout))


def test_a_waiver_does_not_survive_bytes_that_training_made_anew(checkout: Path) -> None:
    record(checkout)
    merge(checkout)
    write_judged(open_project(checkout), "b", outcome=Outcome.INCONCLUSIVE)
    assert "for another verdict: training gave other bytes" in str(refuse(checkout))


def test_a_waived_doubt_releases_no_failure(checkout: Path) -> None:
    record(checkout)
    merge(checkout)
    write_judged(open_project(checkout), outcome=Outcome.FAIL)
    assert "INCONCLUSIVE was waived, and the gate says FAIL" in str(refuse(checkout, RefusedError))


def set_verdict(**changes: object) -> Callable[[Path, str], None]:
    def spoil(checkout: Path, path: str) -> None:
        edit(checkout, path, lambda body: body["verdict"].update(changes))  # type: ignore[attr-defined]  # parsed JSON

    return spoil


def set_field(**changes: object) -> Callable[[Path, str], None]:
    return lambda checkout, path: edit(checkout, path, lambda body: body.update(changes))


def replace_by_link(checkout: Path, path: str) -> None:
    """Point to a waiver that is good in itself, but lies where no rule on the folder protects it."""
    (checkout / path).rename(checkout / "good.json")
    (checkout / path).symlink_to("../../good.json")


def replace_folder_by_link(checkout: Path, path: str) -> None:
    (checkout / FOLDER).rename(checkout / "open")
    (checkout / FOLDER).symlink_to("../open")


def move(name: str) -> Callable[[Path, str], None]:
    def spoil(checkout: Path, path: str) -> None:
        target = checkout / FOLDER / name
        target.parent.mkdir(exist_ok=True)
        (checkout / path).rename(target)

    return spoil


SPOILED: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "malformed": (lambda checkout, path: write(checkout, path, "{"), "not a waiver"),
    "a conflict": (lambda checkout, path: write(checkout, path, "<<<<<<< HEAD"), "not a waiver"),
    "huge": (lambda checkout, path: write(checkout, path, " " * (1 << 19)), "larger than"),
    "a link": (replace_by_link, "it is a symbolic link"),
    "a linked folder": (replace_folder_by_link, "it is a symbolic link"),
    "below": (move("old/0123456789abcdef.json"), "does not lie directly in"),
    "renamed": (move("approved.json"), "is not the name for the verdict"),
    "extra": (set_field(approved=True), "unknown approved"),
    "forever": (set_field(expires="never"), "expires has the unusable value"),
    "another model": (set_field(model="wine"), "it is about wine"),
    "another champion": (set_verdict(champion="sha256:" + "0" * 64), "champion changed"),
    "another policy": (set_verdict(policy="sha256:" + "0" * 64), "policy changed"),
    "another rule": (set_verdict(findings=["r2.min"]), "rmse.max was not waived"),
    "kinder words": (set_verdict(reason="All is well."), "the gate gave another reason"),
    "a pass": (set_verdict(outcome="PASS"), "verdict.outcome has the unusable value"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_merged_file_that_is_not_the_waiver_does_nothing_and_says_why(
    checkout: Path, name: str
) -> None:
    spoil, message = SPOILED[name]
    spoil(checkout, record(checkout))
    merge(checkout)
    said = str(refuse(checkout))
    assert "does nothing: " in said
    assert message in said


def test_a_waiver_withdrawn_at_the_last_moment_releases_nothing(checkout: Path) -> None:
    path = record(checkout)
    merge(checkout)
    workspace = open_project(checkout)

    def withdraw(step: ReleaseStep) -> None:
        if step is ReleaseStep.PROVEN:
            (checkout / path).unlink()
            commit(checkout, "On second thoughts")

    with pytest.raises(UndecidedError, match="is not released"):
        release_project(workspace, read_verdict(workspace, "fuel"), withdraw)
    assert git(checkout.parent / "origin.git", "tag") == ""


# With one, it is released, and the history says so


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.FAIL])
def test_a_merged_waiver_releases_and_is_recorded(checkout: Path, outcome: Outcome) -> None:
    write_judged(open_project(checkout), outcome=outcome)
    path = record(checkout)
    content = (checkout / path).read_bytes()
    merge(checkout)
    done = release(checkout)
    assert done.manifest.verdict.outcome == outcome
    assert done.manifest.waiver == parse_waiver(content, path)
    origin = checkout.parent / "origin.git"
    for kind in ("fuel@v1.0.0", "main"):
        message = git(origin, "for-each-ref", "--format=%(contents)", f"refs/*/{kind}")
        assert "Waived by Ada <ada@example.org> until 9999-12-31 because: few cars" in message
    assert git(origin, "show", f"main:{path}").encode() == content.strip()
    body = documents.read_document(write_release(open_project(checkout), done), "release")
    assert body["manifest"]["waiver"]["why"] == "few cars"


def test_released_is_released_also_when_the_waiver_is_over(checkout: Path) -> None:
    record(checkout, expires="2026-01-05")
    merge(checkout)
    first = release(checkout)
    assert release(checkout, today=date(2027, 1, 1)) == replace(first, created=False)


def test_what_the_command_waives_is_released_once_it_is_merged(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in make_remote(checkout.parent / "origin.git").environ.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UndecidedError) as caught:
        release(checkout)
    assert "gitops waive fuel" in caught.value.hint
    assert main(["waive", "fuel", "--reason", "few cars", "--expires", LATER]) == 0
    merge(checkout)
    assert release(checkout).created


# Beside the release: the production run, the report, the plan


def find(workspace: Workspace, verdict: Verdict) -> object:
    environ = make_remote(workspace.root.parent / "origin.git").environ
    model: ModelConfig = workspace.model("fuel")
    return find_waiver(workspace, model, verdict, environ=environ, today=TODAY)


def test_production_stops_before_the_release_unless_the_waiver_is_merged(checkout: Path) -> None:
    path = record(checkout)
    workspace = open_project(checkout)
    verdict = read_verdict(workspace, "fuel")
    with pytest.raises(UndecidedError, match="is not on main yet"):
        find(workspace, verdict)
    merge(checkout)
    assert find(open_project(checkout), verdict) == parse_waiver(
        (checkout / path).read_bytes(), path
    )


def test_the_report_says_what_a_waiver_on_the_branch_is_worth(checkout: Path) -> None:
    verdict = read_verdict(open_project(checkout), "fuel")

    def tell() -> tuple[str, ...]:
        return tuple(find_next_steps(open_project(checkout), verdict, "read it"))

    assert tell()[0] == "read it"
    assert "gitops waive fuel" in tell()[1]
    path = record(checkout)
    assert tell()[0] == "read it", "only what is committed counts"
    git(checkout, "switch", "--quiet", "-c", "topic")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "-m", "Waive")
    by = "Ada <ada@example.org>"
    assert tell() == (f"waived by {by} until {LATER}: may be merged ({path})",)
    verdict = replace(verdict, champion="sha256:" + "0" * 64)
    assert tell()[1] == f"{path} does nothing: it is for another verdict: champion changed"


def test_waivers_of_the_past_are_not_told_again(checkout: Path) -> None:
    record(checkout)
    merge(checkout)
    workspace = open_project(checkout)
    other = replace(read_verdict(workspace, "fuel"), champion="sha256:" + "0" * 64)
    assert weigh_head(workspace, other, today=read_today()).void == ()


def test_a_commit_that_adds_only_a_waiver_plans_nothing(checkout: Path) -> None:
    base = git(checkout, "rev-parse", "HEAD")
    path = record(checkout)
    merge(checkout)
    workspace = open_project(checkout)
    found = workspace.repository.find_base(workspace.request.head, base, fetch=False)
    plan = plan_changes(workspace, found, check_remote=False)
    assert [(change.path, change.kind) for change in plan.changes] == [(path, Kind.OUTPUT)]
    assert not plan.is_refused
    assert [model.action for model in plan.models] == [Action.SKIP]


def test_a_waiver_merged_meanwhile_supersedes_nothing(checkout: Path) -> None:
    """The source commit was judged before the waiver was written, and its inputs are the same."""
    source = git(checkout, "rev-parse", "HEAD")
    record(checkout)
    merge(checkout)
    git(checkout, "checkout", "--quiet", source)
    assert release(checkout).manifest.source == source


def test_the_folder_may_hold_other_files(checkout: Path) -> None:
    write(checkout, f"{FOLDER}/README.md", "who may waive\n")
    record(checkout)
    merge(checkout)
    assert release(checkout).created


def test_a_submodule_in_place_of_the_folder_does_nothing(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "update-index", "--add", "--cacheinfo", f"160000,{head},{FOLDER}")
    git(checkout, "commit", "--quiet", "-m", "Submodule")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")
    git(checkout, "fetch", "--quiet", "origin")
    assert f"{FOLDER} does nothing: it is not a plain file" in str(refuse(checkout))
    steps = find_next_steps(
        open_project(checkout), read_verdict(open_project(checkout), "fuel"), "read it"
    )
    assert steps[0] == "read it"
