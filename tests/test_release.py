"""Releasing: the grammar of tags, the manifest, what speaks for a release, and being killed anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters import documents
from gitops.digest import make_digest
from gitops.errors import ExitCode, InputError, OutsideError, RefusedError, UndecidedError
from gitops.flow.judging import read_verdict
from gitops.flow.releasing import write_release
from gitops.gate.verdict import Outcome
from gitops.manifest import Version, parse_manifest, parse_version, render_manifest
from gitops.release import (
    Release,
    ReleaseStep,
    ReleaseTag,
    check_verdict,
    make_tag,
    next_version,
    parse_carried,
    parse_merge_request,
    parse_tag,
)
from gitops.waiver import one_line
from tests.release_kit import (
    count_objects,
    git,
    make_candidate,
    make_environ,
    make_project,
    make_repositories,
    make_test_config,
    open_project,
    publish_candidate,
    release_project,
    write,
    write_judged,
)

CONFIG = make_test_config("fuel")
FUEL = CONFIG.models[0]
VERSIONS = st.builds(Version, *[st.integers(0, 999_999_999)] * 3)


# Tags and versions


@given(version=VERSIONS)
def test_a_tag_survives_being_written_and_read(version: Version) -> None:
    assert parse_tag(make_tag("fuel", version)) == ReleaseTag(model="fuel", version=version)
    assert parse_version(str(version)) == version


@pytest.mark.parametrize(
    "name",
    [
        "fuel",
        "fuel@1.0.0",
        "fuel@v1.0",
        "fuel@v01.0.0",
        "fuel@v1.0.0!",
        "fuel#prod",
        "@v1.0.0",
        "--x@v1.0.0",
        "fuel@v1.0.\u0661",
        "Fuel@v1.0.0",
        "a/b@v1.0.0",
    ],
)
def test_what_registers_no_version_is_not_a_release(name: str) -> None:
    assert parse_tag(name) is None


@given(text=st.text())
def test_any_text_is_a_tag_or_none(text: str) -> None:
    parsed = parse_tag(text)
    assert parsed is None or str(parsed) == text


def test_versions_rise_by_minor_and_skip_what_was_ever_used() -> None:
    assert str(next_version("fuel", [])) == "v1.0.0"
    assert str(next_version("fuel", ["wine@v7.0.0", "fuel#prod", "fuel@nonsense"])) == "v1.0.0"
    assert str(next_version("fuel", ["fuel@v1.9.3", "fuel@v1.10.0"])) == "v1.11.0"
    assert str(next_version("fuel", ["fuel@v1.0.0", "fuel@v2.0.0!"])) == "v2.1.0"


def test_the_merge_request_is_read_from_gitlab_s_merge_commit() -> None:
    message = "Merge branch 'x' into 'main'\n\nBetter\n\nSee merge request demo/fuel!7\n"
    assert parse_merge_request(message) == "demo/fuel!7"
    assert parse_merge_request("See merge request demo/fuel!7 and more") == ""


@given(text=st.text())
def test_a_reason_becomes_one_bounded_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert line.isprintable() or not line


# The manifest


@pytest.fixture(scope="module")
def manifest_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    origin, source = make_repositories(tmp_path_factory.mktemp("manifest"), "fuel")
    release = publish_candidate(origin, CONFIG, make_candidate(FUEL, source, "a"))
    return render_manifest(release.manifest)


def test_a_manifest_survives_being_written_and_read(manifest_bytes: bytes) -> None:
    manifest = parse_manifest(manifest_bytes, "models/fuel.release.json")
    assert render_manifest(manifest) == manifest_bytes


CHANGES: dict[str, object] = {
    "schema_version": True,
    "model": "../fuel",
    "version": "v1.0",
    "release": make_digest("other"),
    "bundle": "sha256:" + "A" * 64,
    "pointer_md5": "x",
    "source": "HEAD",
    "merge_request": "a\nReviewed-by: me",
    "data": [{"path": "../x", "md5": "a" * 32}],
    "verdict": {"key": make_digest("k"), "outcome": "FAIL", "reason": ""},
    "metrics": {"rmse": True},
    "previous": None,
    "extra": 1,
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_manifest_with_one_odd_value_is_refused_by_name(manifest_bytes: bytes, key: str) -> None:
    body = {**json.loads(manifest_bytes), key: CHANGES[key]}
    with pytest.raises(InputError, match="not a release manifest") as error:
        parse_manifest(json.dumps(body).encode(), "models/fuel.release.json")
    assert error.value.where == "models/fuel.release.json"


@pytest.mark.parametrize("key", ["model", "verdict", "metrics", "schema_version", "data"])
def test_a_manifest_without_one_key_is_refused(manifest_bytes: bytes, key: str) -> None:
    body = json.loads(manifest_bytes)
    del body[key]
    with pytest.raises(InputError, match=f"missing {key}"):
        parse_manifest(json.dumps(body).encode(), "m.json")


def test_a_manifest_cut_short_anywhere_is_refused(manifest_bytes: bytes) -> None:
    for length in range(len(manifest_bytes) - 2):
        with pytest.raises(InputError):
            parse_manifest(manifest_bytes[:length], "m.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"a": 1, "a": 2}',
        b'{"metrics": NaN}',
        b"<<<<<<< HEAD\n{}",
        b"[" * 100_000,
        b" " * (2 << 20),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        parse_manifest(content, "m.json")


def test_a_metric_that_is_not_finite_is_refused(manifest_bytes: bytes) -> None:
    for odd in (b"NaN", b"Infinity", b"1e999"):
        content = manifest_bytes.replace(b"2.93", odd)
        assert content != manifest_bytes
        with pytest.raises(InputError):
            parse_manifest(content, "m.json")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_an_input_error(content: bytes) -> None:
    with pytest.raises(InputError):
        parse_manifest(content, "m.json")


# Pointer and manifest together


def test_pointer_without_manifest_is_refused(tmp_path: Path) -> None:
    pointer = make_candidate(FUEL, "0" * 40, "a").pointer
    with pytest.raises(InputError, match="only one of"):
        parse_carried(pointer, None, config=FUEL, commit="0" * 40)


def test_a_manifest_about_another_pointer_is_refused(manifest_bytes: bytes) -> None:
    pointer = make_candidate(FUEL, "0" * 40, "b").pointer
    with pytest.raises(InputError, match="is not about this pointer"):
        parse_carried(pointer, manifest_bytes, config=FUEL, commit="0" * 40)


# What speaks for a release


def check(**changes: object) -> None:
    candidate = make_candidate(FUEL, "0" * 40, "a")
    verdict = replace(candidate.verdict, **changes)  # type: ignore[arg-type]  # one field
    check_verdict(replace(candidate, verdict=verdict), ())


def test_a_passing_verdict_on_exactly_this_is_enough() -> None:
    check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"outcome": Outcome.FAIL, "reason": "rmse 4.11 is worse"},
            "not released: FAIL: rmse 4.11",
        ),
        ({"outcome": Outcome.NOT_APPLICABLE}, "NOT_APPLICABLE"),
        ({"model": "wine"}, "is about 'wine'"),
        ({"fingerprint": make_digest("other")}, "about other code or data"),
        ({"policy": make_digest("other")}, "another policy"),
    ],
)
def test_no_other_verdict_releases_anything(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RefusedError, match=message) as error:
        check(**changes)
    assert error.value.exit_code is ExitCode.GATE_SAID_NO


def test_an_inconclusive_verdict_is_for_a_person() -> None:
    with pytest.raises(UndecidedError) as error:
        check(outcome=Outcome.INCONCLUSIVE)
    assert error.value.exit_code is ExitCode.UNDECIDED


# The whole way, with real DVC and a real bare repository


def test_a_release_is_on_both_remotes_and_described_by_its_document(tmp_path: Path) -> None:
    origin, checkout = make_project(tmp_path, "fuel")
    workspace = open_project(checkout)
    steps: list[ReleaseStep] = []
    release = release_project(workspace, write_judged(workspace), steps.append)
    assert steps == list(ReleaseStep)
    assert count_objects(tmp_path / "dvc-remote") == 3
    md5 = release.manifest.pointer_md5
    assert (tmp_path / "dvc-remote/files/md5" / md5[:2] / md5[2:]).is_file()
    place = write_release(workspace, release)
    body = documents.read_document(place, "release")
    assert (body["tag"], body["commit"]) == ("fuel@v1.0.0", git(origin, "rev-parse", "main"))
    assert git(checkout, "status", "--porcelain") == ""


def test_a_bundle_changed_after_the_verdict_is_not_released(tmp_path: Path) -> None:
    origin, checkout = make_project(tmp_path, "fuel")
    workspace = open_project(checkout)
    verdict = write_judged(workspace)
    (workspace.store.place("bundles", verdict.candidate) / "model.ubj").write_bytes(b"evil")
    with pytest.raises(RefusedError, match="not the ones that were judged"):
        release_project(workspace, verdict)
    assert count_objects(tmp_path / "dvc-remote") == 0
    assert git(origin, "tag") == ""


def test_code_committed_after_the_verdict_is_not_released(tmp_path: Path) -> None:
    _, checkout = make_project(tmp_path, "fuel")
    verdict = write_judged(open_project(checkout))
    write(checkout, "pipelines/fuel/pipeline.py", "# other\n")
    git(checkout, "commit", "--quiet", "-am", "Other code")
    with pytest.raises(RefusedError, match="about other code or data"):
        release_project(open_project(checkout), verdict)


def test_a_dvc_remote_that_cannot_be_written_stops_before_git_is_told(tmp_path: Path) -> None:
    origin, checkout = make_project(tmp_path, "fuel")
    workspace = open_project(checkout)
    verdict = write_judged(workspace)
    (tmp_path / "dvc-remote").rmdir()
    (tmp_path / "dvc-remote").write_text("not a folder")
    before = git(origin, "for-each-ref")
    with pytest.raises(OutsideError):
        release_project(workspace, verdict)
    assert git(origin, "for-each-ref") == before


def release_again(checkout: Path) -> Release:
    workspace = open_project(checkout)
    return release_project(workspace, read_verdict(workspace, "fuel"))


def drive(checkout: Path, step: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.release_driver", str(checkout), step]
    environ = {**make_environ(checkout.parent / "home"), "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("step", ReleaseStep)
def test_killed_after_any_step_and_run_again_it_converges(
    tmp_path: Path, step: ReleaseStep
) -> None:
    origin, checkout = make_project(tmp_path, "fuel")
    source = git(origin, "rev-parse", "main")
    write_judged(open_project(checkout))
    killed = drive(checkout, step)
    assert killed.returncode == -9, killed.stderr
    release_again(checkout)
    assert git(origin, "rev-parse", "main^") == source
    assert git(origin, "tag") == "fuel@v1.0.0"
    assert count_objects(tmp_path / "dvc-remote") == 3
    before = git(origin, "for-each-ref")
    assert release_again(checkout).created is False
    assert git(origin, "for-each-ref") == before
