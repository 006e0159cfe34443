"""Predictions and inspections of the store: made once by a process beside this one, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops.errors import InputError, OutsideError
from gitops.flow.preparing import HOLDOUT
from gitops.flow.scoring import Scorer, kept_scores, read_inspection
from gitops.flow.workspace import Workspace, open_workspace
from gitops.serving.bundle import make_digest, write_bundle
from tests.classifiers import boosted, write_holdout
from tests.repositories import make_repository
from tests.test_config import MINIMAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sha256:" + "1" * 64


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    repository = make_repository(tmp_path / "work")
    repository.commit_files({"gitops.yaml": MINIMAL})
    return open_workspace(repository.path, {})


@pytest.fixture
def scorer(workspace: Workspace) -> Iterator[Scorer]:
    with Scorer(workspace, "y") as scorer:
        yield scorer


def keep_bundle(workspace: Workspace, folder: Path, target: str = "y") -> str:
    model, inputs = boosted(2)
    bundle = write_bundle(folder / "b", model=model, inputs=inputs, target=target, task="binary")
    digest = make_digest(bundle)
    workspace.store.write_copy("bundles", digest, bundle)
    workspace.store.write_folder("splits", KEY, _write_rows)
    return digest


def _write_rows(place: Path) -> None:
    write_holdout(place / HOLDOUT, 40)


def test_an_inspection_is_measured_once_and_kept(
    workspace: Workspace, scorer: Scorer, tmp_path: Path
) -> None:
    bundle = keep_bundle(workspace, tmp_path)
    assert read_inspection(workspace, bundle, KEY) is None
    first = scorer.inspect(bundle, KEY)
    assert first is not None
    assert (first.bundle, first.split) == (bundle, KEY)
    # Times differ from run to run, and a verdict must not: a second one would show.
    with Scorer(workspace, "y") as another:
        assert another.inspect(bundle, KEY) == first
    assert read_inspection(workspace, bundle, KEY) == first


def test_scores_of_a_classifier_survive_the_store(
    workspace: Workspace, scorer: Scorer, tmp_path: Path
) -> None:
    bundle = keep_bundle(workspace, tmp_path)
    made = scorer.score(bundle, KEY)
    assert made.classes == ("0", "1")
    assert len(made.predictions) == 40
    assert kept_scores(workspace, bundle, KEY).exists()
    assert scorer.score(bundle, KEY) == made


def test_a_bundle_that_cannot_predict_is_not_inspected(
    workspace: Workspace, tmp_path: Path
) -> None:
    bundle = keep_bundle(workspace, tmp_path, target="other")
    with Scorer(workspace, "mass") as scorer, pytest.raises(InputError, match="target `mass`"):
        scorer.inspect(bundle, KEY)
    damaged = workspace.store.place("bundles", bundle) / "model.ubj"
    damaged.write_bytes(b"something else")
    with Scorer(workspace, "y") as scorer:
        assert scorer.inspect(bundle, KEY) is None
        assert scorer.score(bundle, KEY).problem is not None


def test_a_process_that_ends_without_an_answer_says_how_to_ask_again(
    workspace: Workspace, scorer: Scorer, tmp_path: Path
) -> None:
    bundle = keep_bundle(workspace, tmp_path)
    scorer.start()
    assert scorer._process is not None
    scorer._process.kill()
    scorer._process.wait()
    with pytest.raises(OutsideError, match="ended without an answer") as caught:
        scorer.score(bundle, KEY)
    assert "gitops.serving.worker" in caught.value.hint
