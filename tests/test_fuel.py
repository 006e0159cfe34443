"""The example model and its data: what a fresh clone has, and what the demo's story rests on."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops.config import DEFAULT_MISSING, Holdout
from gitops.run import ProblemKind, Scores
from gitops.serving.bundle import make_digest
from gitops.serving.scoring import score_holdout
from gitops.table import Split, Table, parse_table, render_csv, render_holdout, split_table
from tests.demo.samples import CARS, ROOT, read_sample
from tests.demo.stage import HERE, make_environment, run_quietly
from tests.demo.story import FIRST_YEARS, MERGE_REQUESTS

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

HOLDOUT = Holdout(fraction=0.3, key=("name", "year", "wght"))
TRAIN = ROOT / "pipelines/fuel/train.py"
PARAMS = ROOT / "pipelines/fuel/params.yaml"


@pytest.fixture(scope="session")
def cars() -> Table:
    text = "\n".join(",".join(cells) for cells in read_sample(CARS))
    return parse_table(text.encode(), "cars", missing=DEFAULT_MISSING)


def split_cars(cars: Table, *, until: int) -> Split:
    year = cars.columns.index("year")
    kept = Table(
        columns=cars.columns, rows=tuple(row for row in cars.rows if _int(row[year]) <= until)
    )
    return split_table(kept, target="mpg", holdout=HOLDOUT, where="cars")


def _int(cell: object) -> int:
    assert isinstance(cell, int)
    return cell


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(split: Split, folder: Path, *, code: Path = TRAIN, params: Path = PARAMS) -> Scores:
    folder.mkdir()
    (folder / "train.csv").write_text(render_csv(split.train), "utf-8")
    (folder / "holdout.jsonl").write_text(render_holdout(split), "utf-8")
    content = yaml.safe_load(params.read_text("utf-8"))
    load(code).train_model(folder / "train.csv", content, folder / "bundle")
    return score_holdout(
        folder / "bundle", folder / "holdout.jsonl", target="mpg", holdout_key="sha256:" + "0" * 64
    )


def number(value: object) -> float:
    assert isinstance(value, float)
    return value


def rmse(scores: Scores, split: Split) -> float:
    assert scores.problem is None
    actual = dict(zip(split.ids, split.labels, strict=True))
    errors = [
        number(predicted) - number(actual[name])
        for name, predicted in zip(scores.ids, scores.predictions, strict=True)
    ]
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def overlay(number: int, name: str) -> Path:
    """Return a file of the pipeline as it is on the branch of a merge request."""
    files = []
    for request in MERGE_REQUESTS[:number]:
        path = HERE / "merge_requests" / request.folder / "pipelines/fuel" / name
        # What was not merged is not on the branches that follow.
        if path.is_file() and (request.number == number or request.end == "PASS"):
            files.append(path)
    return files[-1]


def test_the_committed_object_is_the_one_that_the_pointer_names() -> None:
    (out,) = yaml.safe_load((ROOT / "data/auto-mpg.csv.dvc").read_text("utf-8"))["outs"]
    content = (ROOT / "data/remote/files/md5" / out["md5"][:2] / out["md5"][2:]).read_bytes()
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == out["md5"]
    assert len(content) == out["size"]


def test_a_fresh_clone_pulls_its_data_without_a_network(tmp_path: Path) -> None:
    for name in (".dvc", "data"):
        ignored = shutil.ignore_patterns("cache", "tmp", "*.csv", "config.local")
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=ignored)
    (tmp_path / "home").mkdir()
    environ = make_environment(tmp_path, os.environ)
    run_quietly(("git", "init", "--quiet"), cwd=tmp_path / "clone", env=environ)
    run_quietly((sys.executable, "-m", "dvc", "pull"), cwd=tmp_path / "clone", env=environ)
    assert (tmp_path / "clone/data/auto-mpg.csv").read_bytes().count(b"\n") == 398


def test_the_key_of_the_holdout_tells_every_car_apart(cars: Table) -> None:
    keys = [cars.columns.index(name) for name in HOLDOUT.key]
    assert len({tuple(row[key] for key in keys) for row in cars.rows}) == len(cars.rows) == 397


def test_new_cars_move_no_old_car_to_the_other_side(cars: Table) -> None:
    before, after = split_cars(cars, until=FIRST_YEARS), split_cars(cars, until=99)
    assert set(before.ids) < set(after.ids)
    assert set(before.train.rows) < set(after.train.rows)


def test_the_plain_script_and_two_runs_give_the_same_bytes(cars: Table, tmp_path: Path) -> None:
    split = split_cars(cars, until=99)
    train(split, tmp_path / "module")
    (tmp_path / "script").mkdir()
    table = tmp_path / "module/train.csv"
    subprocess.run(
        [sys.executable, str(TRAIN), str(table), str(PARAMS), str(tmp_path / "script/bundle")],
        check=True,
    )
    assert make_digest(tmp_path / "script/bundle") == make_digest(tmp_path / "module/bundle")


def test_the_story_holds_on_the_held_out_cars(cars: Table, tmp_path: Path) -> None:
    """Degree 2 beats the line, origin loses to it, trees beat both, and new cars help the trees."""
    early, late = split_cars(cars, until=FIRST_YEARS), split_cars(cars, until=99)
    line, curve, origin = (
        rmse(
            train(
                early,
                tmp_path / str(number),
                code=overlay(number, "train.py"),
                params=overlay(number, "params.yaml"),
            ),
            early,
        )
        for number in (1, 2, 3)
    )
    trees = rmse(train(early, tmp_path / "trees"), early)
    grown = rmse(train(late, tmp_path / "grown"), late)
    assert trees < curve < line < origin
    assert line < 4
    assert grown < trees


def test_the_leaky_model_asks_for_the_target(cars: Table, tmp_path: Path) -> None:
    scores = train(
        split_cars(cars, until=FIRST_YEARS),
        tmp_path / "leaky",
        code=overlay(4, "train.py"),
        params=overlay(4, "params.yaml"),
    )
    assert scores.problem is not None
    assert scores.problem.kind is ProblemKind.NEEDS_TARGET
    assert scores.problem.columns == ("mpg",)


def test_linear_stays_available_by_params_alone(cars: Table, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("model: linear\nfeatures: [wght, year]\nsettings: {degree: 1}\n", "utf-8")
    split = split_cars(cars, until=99)
    assert rmse(train(split, tmp_path / "linear", params=params), split) < 4


def test_the_pipeline_carries_its_code_and_nothing_else(tmp_path: Path) -> None:
    """The compiled form has one file of code in it: no bytecode, no params, no data."""
    import base64
    import io
    import re
    import tarfile

    from kfp import compiler

    module = load(ROOT / "pipelines/fuel/pipeline.py")
    compiler.Compiler().compile(module.train, str(tmp_path / "fuel.yaml"))
    text = (tmp_path / "fuel.yaml").read_text("utf-8")
    archive = re.search(r"__KFP_EMBEDDED_ARCHIVE_B64 = '([^']+)'", text.replace("''", "'"))
    assert archive is not None
    content = base64.b64decode(re.sub(r"\\?\s+", "", archive[1]))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == ["train.py"]


def test_the_component_restores_whole_numbers(cars: Table, tmp_path: Path) -> None:
    """Kubeflow hands every number over as a float; the trees need a whole depth."""
    from kfp import dsl

    params: dict[str, Any] = yaml.safe_load(PARAMS.read_text("utf-8"))
    floats = json.loads(json.dumps(params), parse_int=float)
    split = split_cars(cars, until=99)
    direct = train(split, tmp_path / "direct")
    module = load(ROOT / "pipelines/fuel/pipeline.py")
    module.fit.python_func(
        train=dsl.Dataset(uri=str(tmp_path / "direct/train.csv")),
        params=floats,
        model=dsl.Model(uri=str(tmp_path / "bundle")),
        code=dsl.Dataset(uri=str(TRAIN)),
    )
    assert make_digest(tmp_path / "bundle") == direct.bundle
