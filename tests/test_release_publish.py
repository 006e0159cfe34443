"""Publishing into real bare repositories: atomic, never by force, believed only when seen."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from gitops.adapters.publish import Question, read_origin, read_target
from gitops.adapters.publish.remote import make_environment, redact, split_credentials
from gitops.config import Config
from gitops.digest import make_digest
from gitops.errors import GitopsError, InputError, OutsideError, RefusedError
from gitops.manifest import parse_manifest
from gitops.release import Candidate, ReleaseStep
from tests.release_kit import (
    commit,
    git,
    make_candidate,
    make_remote,
    make_repositories,
    make_test_config,
    publish_candidate,
    with_reason,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

FUEL = make_test_config("fuel")
BOTH = make_test_config("fuel", "wine")


def read_log(origin: Path, revision: str = "main") -> list[str]:
    return git(origin, "log", "--format=%s", revision).splitlines()


def test_a_release_is_one_commit_with_pointer_and_manifest_and_an_annotated_tag(
    tmp_path: Path,
) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    candidate = make_candidate(FUEL.models[0], source, "a")
    steps: list[ReleaseStep] = []
    release = publish_candidate(origin, FUEL, candidate, steps.append)
    assert (release.tag, release.created) == ("fuel@v1.0.0", True)
    assert git(origin, "rev-parse", "main") == release.commit
    assert git(origin, "rev-parse", "main^") == source
    assert git(origin, "cat-file", "-t", "fuel@v1.0.0") == "tag"
    assert git(origin, "rev-parse", "fuel@v1.0.0^{commit}") == release.commit
    changed = git(origin, "diff-tree", "-r", "--name-only", source, "main").splitlines()
    assert changed == ["models/fuel.dvc", "models/fuel.release.json"]
    assert steps == [
        ReleaseStep.COMMITTED,
        ReleaseStep.TAGGED,
        ReleaseStep.PUBLISHED,
        ReleaseStep.CONFIRMED,
    ]


def test_the_manifest_says_where_the_model_comes_from(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    release = publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    content = git(origin, "show", "main:models/fuel.release.json") + "\n"
    manifest = parse_manifest(content.encode(), "models/fuel.release.json")
    assert manifest == release.manifest
    assert manifest.source == source
    assert manifest.merge_request == "demo/fuel!7"
    assert manifest.date == "2026-01-05T10:00:00+00:00"
    assert (manifest.version, manifest.previous) == ("v1.0.0", "")
    assert "Merge-Request: demo/fuel!7" in git(origin, "log", "-1", "--format=%b")


def test_releasing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    candidate = make_candidate(FUEL.models[0], source, "a")
    first = publish_candidate(origin, FUEL, candidate)
    before = git(origin, "for-each-ref")
    second = publish_candidate(origin, FUEL, candidate)
    assert git(origin, "for-each-ref") == before
    assert second == replace(first, created=False)


def test_equal_inputs_make_the_very_same_commit_and_tag(tmp_path: Path) -> None:
    refs = []
    for name in ("one", "two"):
        origin, source = make_repositories(tmp_path / name, "fuel")
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
        refs.append(git(origin, "for-each-ref"))
    assert refs[0] == refs[1]


def test_the_next_release_raises_the_minor_version_and_names_the_previous(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    model = FUEL.models[0]
    first = publish_candidate(origin, FUEL, make_candidate(model, source, "a"))
    champion = first.manifest.bundle
    second = publish_candidate(origin, FUEL, make_candidate(model, source, "b", champion))
    assert (second.tag, second.manifest.previous) == ("fuel@v1.1.0", "v1.0.0")


def test_another_commit_on_the_branch_is_kept_and_built_upon(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    write(tmp_path / "checkout", "README.md", "words\n")
    moved = commit(tmp_path / "checkout", "Words")
    release = publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    assert git(origin, "rev-parse", f"{release.commit}^") == moved
    assert git(origin, "show", "main:README.md") == "words"


def test_inputs_that_moved_on_since_the_verdict_supersede_it(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    write(tmp_path / "checkout", "pipelines/fuel/pipeline.py", "# other\n")
    commit(tmp_path / "checkout", "Other code")
    with pytest.raises(
        RefusedError, match=r"superseded: pipelines/fuel/pipeline\.py changed"
    ) as error:
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    assert "gitops check" in error.value.hint
    assert read_log(origin)[0] == "Other code"


def test_a_champion_that_the_gate_did_not_see_supersedes_the_verdict(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    with pytest.raises(RefusedError, match=r"superseded: main now carries fuel v1\.0\.0"):
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "b"))
    assert len(git(origin, "tag").splitlines()) == 1


def test_a_commit_that_was_never_merged_is_not_released(tmp_path: Path) -> None:
    origin, _ = make_repositories(tmp_path, "fuel")
    checkout = tmp_path / "checkout"
    git(checkout, "commit", "--quiet", "--allow-empty", "-m", "local only")
    local = git(checkout, "rev-parse", "HEAD")
    with pytest.raises(RefusedError, match="is not on main"):
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], local, "a"))


def test_rewritten_history_stops_every_release(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    git(origin, "update-ref", "refs/heads/main", source)
    with pytest.raises(InputError, match=r"no longer contains the release fuel@v1\.0\.0"):
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "b"))


def test_a_release_that_was_replaced_does_not_come_back_by_itself(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    model = FUEL.models[0]
    first = make_candidate(model, source, "a")
    champion = publish_candidate(origin, FUEL, first).manifest.bundle
    publish_candidate(origin, FUEL, make_candidate(model, source, "b", champion))
    with pytest.raises(RefusedError, match="was released and then replaced") as error:
        publish_candidate(origin, FUEL, first)
    assert error.value.hint.endswith("gitops rollback fuel --to v1.0.0")


def test_a_name_that_a_tag_uses_is_never_used_again(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    git(origin, "tag", "fuel@v1.4.0", source)
    git(origin, "tag", "fuel@v1.7.0!", source)
    release = publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    assert release.tag == "fuel@v1.8.0"


def test_a_tag_taken_while_we_build_is_a_lost_race_not_a_failure(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")

    def take_the_tag(step: ReleaseStep) -> None:
        if step is ReleaseStep.TAGGED and not git(origin, "tag"):
            git(origin, "tag", "fuel@v1.0.0", source)

    candidate = make_candidate(FUEL.models[0], source, "a")
    assert publish_candidate(origin, FUEL, candidate, take_the_tag).tag == "fuel@v1.1.0"


def test_a_branch_that_moves_while_we_build_is_built_upon(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    moved: list[str] = []

    def move_the_branch(step: ReleaseStep) -> None:
        if step is ReleaseStep.TAGGED and not moved:
            write(tmp_path / "checkout", "README.md", "words\n")
            moved.append(commit(tmp_path / "checkout", "Words"))

    candidate = make_candidate(FUEL.models[0], source, "a")
    release = publish_candidate(origin, FUEL, candidate, move_the_branch)
    assert git(origin, "rev-parse", f"{release.commit}^") == moved[0]
    assert release.tag == "fuel@v1.0.0"


def write_hook(origin: Path, name: str, script: str) -> None:
    hook = origin / "hooks" / name
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)


def test_a_rejected_push_leaves_nothing_behind_and_says_why(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    write_hook(origin, "pre-receive", "echo 'main is frozen' >&2; exit 1")
    before = git(origin, "for-each-ref")
    with pytest.raises(OutsideError, match="did not take the commit") as error:
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    assert "pre-receive hook declined" in error.value.what
    assert git(origin, "for-each-ref") == before


def test_a_refused_tag_takes_the_branch_back_with_it(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    write_hook(origin, "update", 'case "$1" in refs/tags/*) exit 1;; esac')
    with pytest.raises(OutsideError):
        publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    assert git(origin, "rev-parse", "main") == source


def test_no_local_hook_or_global_setting_takes_part(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    home, trap = tmp_path / "home", tmp_path / "trap"
    for name in ("pre-commit", "commit-msg", "pre-push", "post-commit", "post-index-change"):
        write_hook(tmp_path / "template", name, f"touch {trap}")
    hooks = tmp_path / "template" / "hooks"
    settings = f"[init]\n templateDir = {hooks.parent}\n[core]\n hooksPath = {hooks}\n"
    (home / ".gitconfig").write_text(settings)
    publish_candidate(origin, FUEL, make_candidate(FUEL.models[0], source, "a"))
    assert not trap.exists()


def test_a_remote_that_does_not_answer_is_the_outside_world(tmp_path: Path) -> None:
    remote = make_remote(tmp_path / "nowhere.git")
    with pytest.raises(OutsideError, match="the remote does not answer"):
        read_target(remote, Question(config=FUEL.models[0]))


def test_a_missing_target_branch_is_named(tmp_path: Path) -> None:
    origin, _ = make_repositories(tmp_path, "fuel")
    remote = replace(make_remote(origin), branch="trunk")
    with pytest.raises(InputError, match="no branch 'trunk'"):
        read_target(remote, Question(config=FUEL.models[0]))


@pytest.mark.parametrize("branch", ["--upload-pack=x", "a..b", "", "main lock", "x.lock"])
def test_a_branch_name_that_git_would_not_take_is_refused(tmp_path: Path, branch: str) -> None:
    origin, _ = make_repositories(tmp_path, "fuel")
    with pytest.raises(InputError):
        read_target(replace(make_remote(origin), branch=branch), Question(config=FUEL.models[0]))


def test_an_option_in_place_of_a_commit_is_refused(tmp_path: Path) -> None:
    origin, _ = make_repositories(tmp_path, "fuel")
    with pytest.raises(InputError, match="is not a commit id"):
        read_target(make_remote(origin), Question(config=FUEL.models[0], source="--output=pwn"))


def test_a_pointer_that_is_a_symlink_on_the_branch_is_refused(tmp_path: Path) -> None:
    origin, _ = make_repositories(tmp_path, "fuel")
    checkout = tmp_path / "checkout"
    (checkout / "models").mkdir()
    (checkout / "models" / "fuel.dvc").symlink_to("../data/cars.csv.dvc")
    commit(checkout, "Link")
    with pytest.raises(InputError, match="not a plain small file"):
        read_target(make_remote(origin), Question(config=FUEL.models[0]))


def test_a_reason_that_looks_like_a_trailer_stays_one_line(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    candidate = make_candidate(FUEL.models[0], source, "a")
    publish_candidate(origin, FUEL, with_reason(candidate, "fine\n\nMerge-Request: evil!1\x1b[31m"))
    trailers = git(origin, "log", "-1", "--format=%(trailers:key=Merge-Request,valueonly)", "main")
    assert trailers == "demo/fuel!7"


def test_credentials_leave_the_address_and_travel_by_environment(tmp_path: Path) -> None:
    url, settings = split_credentials("https://ci:s3cret@git.example.org/a/b.git")
    assert url == "https://git.example.org/a/b.git"
    environment = make_environment({"GIT_CONFIG_COUNT": "0"}, settings, tmp_path)
    assert environment["GIT_CONFIG_KEY_0"] == "http.https://git.example.org/a/b.git.extraHeader"
    assert "s3cret" not in str(environment)
    assert environment["GIT_CONFIG_VALUE_0"] == "Authorization: Basic Y2k6czNjcmV0"
    assert redact("fatal: https://ci:s3cret@h/x: no") == "fatal: https://***@h/x: no"


class Listener(BaseHTTPRequestHandler):
    """Keeps the credentials it is sent, and refuses; or says nothing at all."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        if self.path.startswith("/hang"):
            time.sleep(5)
        self.send_error(403)

    def log_message(self, *arguments: object) -> None:
        """Stay quiet."""


@pytest.fixture
def listening() -> Iterator[int]:
    Listener.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_token_in_the_address_reaches_the_remote_and_no_message(
    listening: int, tmp_path: Path
) -> None:
    url = f"http://ci:s3cret@127.0.0.1:{listening}/a/b.git"
    remote = replace(make_remote(tmp_path / "x"), url=url)
    with pytest.raises(OutsideError) as error:
        read_target(remote, Question(config=FUEL.models[0]))
    assert Listener.seen[0] == "Basic Y2k6czNjcmV0"
    assert "s3cret" not in f"{error.value} {error.value.hint} {error.value.__cause__}"
    assert error.value.where == f"http://127.0.0.1:{listening}/a/b.git"


def test_a_remote_that_hangs_is_given_up_in_bounded_time(listening: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{listening}/hang.git"
    remote = replace(make_remote(tmp_path / "x"), url=url, timeout=0.5)
    started = time.monotonic()
    with pytest.raises(OutsideError, match="does not answer"):
        read_target(remote, Question(config=FUEL.models[0]))
    assert time.monotonic() - started < 4


def test_the_address_of_origin_is_read_from_the_checkout(tmp_path: Path) -> None:
    origin, _ = make_repositories(tmp_path, "fuel")
    assert read_origin(tmp_path / "checkout") == str(origin)
    git(tmp_path / "checkout", "remote", "set-url", "origin", "../origin.git")
    assert read_origin(tmp_path / "checkout" / "data") == str(origin.resolve())
    git(tmp_path / "checkout", "remote", "remove", "origin")
    with pytest.raises(InputError, match="no remote to release to"):
        read_origin(tmp_path / "checkout")


# Races: separate processes, a barrier before each push, real bare repositories.


def race(origin: Path, config: Config, rounds: list[Candidate], barrier: Any, outcome: Any) -> None:
    for candidate in rounds:
        waited: list[bool] = []

        def meet(step: ReleaseStep, waited: list[bool] = waited) -> None:
            if step is ReleaseStep.TAGGED and not waited:
                waited.append(True)
                barrier.wait(60)

        barrier.wait(60)
        try:
            release = publish_candidate(origin, config, candidate, meet)
            outcome.put((release.tag, release.created))
        except GitopsError as error:
            outcome.put((str(error), False))


def run_race(origin: Path, config: Config, sides: list[list[Candidate]]) -> list[tuple[str, bool]]:
    context = multiprocessing.get_context("fork")
    barrier, outcome = context.Barrier(len(sides)), context.Queue()
    racers = [
        context.Process(target=race, args=(origin, config, side, barrier, outcome))
        for side in sides
    ]
    for racer in racers:
        racer.start()
    results = [outcome.get(timeout=120) for side in sides for _ in side]
    for racer in racers:
        racer.join(60)
    return results


@pytest.mark.slow
def test_two_models_released_at_once_fifty_times_lose_nothing(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel", "wine")
    sides = []
    for model in BOTH.models:
        labels = [f"{model.name} {i}" for i in range(50)]
        champions = ["", *(make_digest(label) for label in labels)]
        pairs = zip(labels, champions, strict=False)
        sides.append([make_candidate(model, source, label, past) for label, past in pairs])
    results = run_race(origin, BOTH, sides)
    assert all(created for _, created in results), results
    log = read_log(origin, "main")
    assert len(log) == 101
    assert git(origin, "log", "--merges", "--format=%h", "main") == ""
    for model in BOTH.models:
        assert sum(line.startswith(f"Release {model.name} ") for line in log) == 50
        tags = git(origin, "tag", "--list", f"{model.name}@*", "--merged", "main").splitlines()
        assert len(tags) == 50
        pointers = {git(origin, "rev-parse", f"{tag}:models/{model.name}.dvc") for tag in tags}
        assert len(pointers) == 50


def test_two_candidates_of_one_model_at_once_one_wins_the_other_is_superseded(
    tmp_path: Path,
) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    sides = [[make_candidate(FUEL.models[0], source, label)] for label in ("a", "b")]
    results = sorted(run_race(origin, FUEL, sides), key=lambda result: result[1])
    assert results[0][0].startswith("superseded: main now carries fuel v1.0.0")
    assert results[1] == ("fuel@v1.0.0", True)
    assert len(read_log(origin)) == 2


def test_the_same_release_from_two_machines_at_once_is_one_commit(tmp_path: Path) -> None:
    origin, source = make_repositories(tmp_path, "fuel")
    candidate = make_candidate(FUEL.models[0], source, "a")
    results = run_race(origin, FUEL, [[candidate], [candidate]])
    assert {tag for tag, _ in results} == {"fuel@v1.0.0"}
    assert len(read_log(origin)) == 2
