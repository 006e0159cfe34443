"""The plan: what runs, what is reused, what is skipped, and why; on real repositories."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.cli import main
from gitops.config import ModelConfig
from gitops.plan import Inputs, make_fingerprint, plan_from_json, plan_to_json, show
from tests.repositories import Repository, make_clone, make_repository, render_pointer_file
from tests.test_config import MINIMAL

CARS = b"name,mpg\n" + b"".join(b"car %d,%d\n" % (i, i) for i in range(40))
TWO_MODELS = (
    MINIMAL
    + """\
  water:
    data: data/water.csv
    target: safe
    pipeline: pipelines/water/pipeline.py:train
    gate: {metrics: {mae: {max: 1}}}
"""
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Two models on main, their data on a remote in a folder, and a branch to work on."""
    repository = make_repository(tmp_path / "work")
    monkeypatch.chdir(repository.path)
    write_data(repository, "data/cars.csv", CARS)
    write_data(repository, "data/water.csv", b"ph,safe\n7,1\n")
    repository.commit_files(
        {
            ".dvc/config": "[core]\nremote = disk\n['remote \"disk\"']\nurl = ../../remote\n",
            "gitops.yaml": TWO_MODELS,
            "pipelines/fuel/pipeline.py": "train = None\n",
            "pipelines/water/pipeline.py": "train = None\n",
            "README.md": "cars\n",
        }
    )
    repository.git("checkout", "--quiet", "-b", "topic")
    return repository


def write_data(repository: Repository, path: str, content: bytes, *, push: bool = True) -> None:
    """Write the pointer of some data, and its object to the remote as `dvc push` would."""
    text = render_pointer_file(Path(path).name, content)
    repository.write(f"{path}.dvc", text)
    md5 = text.split("md5: ")[1][:32]
    place = repository.path.parent / "remote" / "files" / "md5" / md5[:2] / md5[2:]
    if push:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def plan(
    capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, dict[str, str]]]:
    """Run `gitops plan --json`; return its exit code and the models by name."""
    code = main(["plan", "--json", *options])
    body = json.loads(capsys.readouterr().out)
    return code, {model["name"]: model for model in body["models"]}


def test_only_the_model_whose_code_changed_is_planned(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit_files({"pipelines/fuel/train.py": "x = 1\n"})
    code, models = plan(capsys)
    assert code == 0
    assert models["fuel"]["action"] == "run"
    assert models["fuel"]["reason"] == "code changed: pipelines/fuel/train.py"
    assert models["water"]["action"] == "skip"
    assert models["water"]["reason"] == "no changed file is an input of water"


def test_a_readme_plans_nothing_and_says_why(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit_files({"README.md": "better\n"})
    assert main(["plan"]) == 0
    printed = capsys.readouterr().out
    assert "fuel: skip: no changed file is an input of fuel" in printed
    assert printed.endswith("nothing to run\n")


def test_a_changed_pointer_plans_the_models_of_its_data(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(repository, "data/cars.csv", CARS + b"new,1\n")
    repository.commit()
    code, models = plan(capsys)
    assert code == 0
    assert models["fuel"]["reason"] == "data changed: data/cars.csv.dvc"
    assert models["fuel"]["data_changed"]
    assert models["water"]["action"] == "skip"


def test_a_pointer_whose_data_was_never_pushed_is_refused_with_the_command_that_mends_it(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(repository, "data/cars.csv", CARS + b"new,1\n", push=False)
    repository.commit()
    code, models = plan(capsys)
    assert code == 2
    assert models["fuel"]["action"] == "refuse"
    assert "not on the remote 'disk'" in models["fuel"]["reason"]
    assert models["fuel"]["hint"] == "dvc push -r disk data/cars.csv.dvc"


def test_only_the_policy_changed_so_the_same_result_is_judged_again(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit_files({"gitops.yaml": TWO_MODELS.replace("max: 4.5", "max: 9")})
    _, models = plan(capsys)
    assert models["fuel"]["reason"].startswith("only its policy changed")
    assert models["water"]["action"] == "skip"


def test_a_definition_that_changes_results_plans_its_own_model_only(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit_files({"gitops.yaml": TWO_MODELS.replace("target: safe", "target: ph")})
    _, models = plan(capsys)
    assert models["water"]["action"] == "run"
    assert models["fuel"]["action"] == "skip"


def test_a_crafted_pointer_is_refused_whoever_it_belongs_to(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    text = render_pointer_file("../../x", b"bytes")
    repository.commit_files({"other/evil.dvc": text})
    assert main(["plan"]) == 2
    printed = capsys.readouterr().out
    assert "refused: other/evil.dvc: the path leaves its folder" in printed


def test_a_model_pointer_that_no_release_wrote_is_refused(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(repository, "data/models/fuel", b"a model that nobody judged")
    repository.commit()
    assert main(["plan"]) == 2
    assert "data/models/fuel" in capsys.readouterr().out


def test_a_link_among_the_sources_is_refused(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository.path / "pipelines/fuel/secrets.py").symlink_to("/etc/passwd")
    repository.commit()
    assert main(["plan"]) == 2
    assert "a link or submodule cannot be a source" in capsys.readouterr().out


def test_without_a_base_everything_counts_as_changed(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    code, models = plan(capsys, "--base", "0" * 40)
    assert code == 0
    assert {model["action"] for model in models.values()} == {"run"}
    assert "everything counts as changed" in models["fuel"]["reason"]


def test_a_shallow_clone_plans_the_same_as_a_full_one(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit_files({"pipelines/fuel/train.py": "x = 1\n"})
    for number in range(25):
        repository.commit_files({"notes.txt": str(number)})
    repository.git("checkout", "--quiet", "main")
    repository.commit_history("main", 25, "other")
    clone = make_clone(repository.path, tmp_path / "clone", "--depth=20", "--branch=topic")
    monkeypatch.chdir(clone.path)
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    assert main(["plan"]) == 0
    body = json.loads((clone.path / ".gitops/plan.json").read_text())
    assert [m["action"] for m in body["models"]] == ["run", "skip"]


def test_uncommitted_work_is_named_because_it_is_not_looked_at(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write("pipelines/fuel/train.py", "x = 2\n")
    assert main(["plan"]) == 0
    assert "not committed, so not looked at: pipelines/fuel/train.py" in capsys.readouterr().err


def test_the_toolkit_leaves_no_trace_that_git_sees(repository: Repository) -> None:
    assert main(["plan"]) == 0
    assert repository.git("status", "--porcelain") == ""


def test_a_plan_document_comes_back_as_it_was(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit_files({"README.md": "better\n"})
    main(["plan", "--json"])
    body = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(plan_to_json(plan_from_json(body)))) == body


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("git rm -q gitops.yaml", "there is no gitops.yaml at"),
        ("echo 'version: 2' > gitops.yaml", "gitops.yaml: "),
    ],
)
def test_a_repository_that_is_not_set_up_is_told_how_to_begin(
    repository: Repository, capsys: pytest.CaptureFixture[str], prepare: str, says: str
) -> None:
    os.system(prepare)
    repository.commit()
    assert main(["plan"]) == 2
    assert says in capsys.readouterr().err


def test_outside_a_repository_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan"]) == 2
    assert "git" in capsys.readouterr().err


IDS = st.text("0123456789abcdef", min_size=40, max_size=40)
INPUTS = st.builds(
    Inputs,
    data=st.tuples(st.tuples(st.just("data/cars.csv"), IDS)),
    sources=st.lists(st.tuples(st.text(max_size=5), st.just("100644"), IDS), max_size=3).map(tuple),
    params=IDS,
    lock=IDS,
    pipeline=st.just("gitops 0.1.0"),
)


@given(INPUTS, INPUTS)
def test_fingerprints_are_equal_exactly_when_inputs_are(one: Inputs, other: Inputs) -> None:
    same = make_fingerprint(make_model(), one) == make_fingerprint(make_model(), other)
    assert same == (one == other or sorted_inputs(one) == sorted_inputs(other))


def sorted_inputs(inputs: Inputs) -> tuple[object, ...]:
    return (sorted(inputs.data), sorted(inputs.sources), inputs.params, inputs.lock)


def make_model() -> ModelConfig:
    from gitops.adapters.documents import parse_config

    return parse_config(MINIMAL.encode()).model("fuel")


@given(st.text())
def test_what_is_printed_cannot_steer_a_terminal(text: str) -> None:
    assert all(char.isprintable() for char in show(text))
