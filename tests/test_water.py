"""The second example model: its honest score is reproduced, and the published leak is refused by name."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from gitops.adapters.documents import parse_config
from gitops.gate.evidence import Comparison, Evidence
from gitops.gate.formats import verdict_to_json
from gitops.gate.judge import judge
from gitops.gate.verdict import Outcome
from gitops.run import ProblemKind
from gitops.serving.bundle import make_digest
from gitops.serving.scoring import score_holdout
from gitops.table import Split, parse_table, render_csv, render_holdout, split_table
from tests.demo.samples import ROOT, WATER, fill_gaps, read_sample
from tests.gate_evidence import find, shuffled
from tests.test_fuel import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitops.run import Scores

MODEL = parse_config((ROOT / "gitops.yaml").read_bytes()).model("water")
TRAIN = ROOT / "pipelines/water/train.py"
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "pipelines/water/params.yaml").read_text("utf-8"))
PUBLISHED_HONEST, PUBLISHED_LEAKY = 0.456, 0.690
GAPPY = ("ph", "Sulfate", "Trihalomethanes")


def split_water(rows: list[list[str]]) -> Split:
    text = "\n".join(",".join(cells) for cells in rows)
    table = parse_table(text.encode(), WATER, missing=MODEL.missing)
    return split_table(
        table, target=MODEL.target, holdout=MODEL.holdout, where=WATER, task=MODEL.task
    )


def train(split: Split, folder: Path, params: dict[str, Any] = PARAMS) -> Scores:
    folder.mkdir()
    (folder / "train.csv").write_text(render_csv(split.train), "utf-8")
    load(TRAIN).train_model(folder / "train.csv", params, folder / "bundle")
    return score(split, folder)


def score(split: Split, folder: Path) -> Scores:
    (folder / "holdout.jsonl").write_text(render_holdout(split), "utf-8")
    return score_holdout(
        folder / "bundle", folder / "holdout.jsonl", target=MODEL.target, holdout_key="holdout"
    )


def make_evidence(split: Split, scores: Scores) -> Evidence:
    columns = zip(*split.held_out.rows, strict=True)
    return Evidence(
        model=MODEL.name,
        target=MODEL.target,
        fingerprint="sha256:" + "f" * 64,
        candidate=scores.bundle,
        champion="",
        champion_reason="there is no champion yet",
        holdout_changed=False,
        current=Comparison(ids=split.ids, actual=split.labels, candidate=scores, champion=None),
        earlier=None,
        inputs=dict(zip(split.held_out.columns, columns, strict=True)),
        task=MODEL.task,
        positive=MODEL.positive,
    )


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    split = split_water(read_sample(WATER))
    return make_evidence(split, train(split, tmp_path_factory.mktemp("water") / "honest"))


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    split = split_water(fill_gaps(read_sample(WATER)))
    return make_evidence(split, train(split, tmp_path_factory.mktemp("water") / "leaky"))


def test_the_committed_object_is_the_one_that_the_pointer_names() -> None:
    (out,) = yaml.safe_load((ROOT / f"{WATER}.dvc").read_text("utf-8"))["outs"]
    content = (ROOT / "data/remote/files/md5" / out["md5"][:2] / out["md5"][2:]).read_bytes()
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == out["md5"]
    assert len(content) == out["size"]


def test_the_key_of_the_holdout_tells_every_sample_apart_and_is_never_missing() -> None:
    header, *rows = read_sample(WATER)
    keys = [tuple(row[header.index(name)] for name in MODEL.holdout.key) for row in rows]
    assert len(set(keys)) == len(rows) == 3276
    assert all(all(key) for key in keys)


def test_filled_gaps_move_no_sample_to_the_other_side(honest: Evidence, leaky: Evidence) -> None:
    assert leaky.current.ids == honest.current.ids
    assert leaky.current.actual == honest.current.actual
    for name in GAPPY:
        assert None in honest.inputs[name]
        assert None not in leaky.inputs[name]


def test_the_honest_score_is_reproduced_within_its_interval_and_passes(honest: Evidence) -> None:
    verdict = judge(honest, MODEL.policy)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    f1 = find(verdict, "f1.min")
    assert f1.low is not None
    assert f1.high is not None
    assert f1.low < PUBLISHED_HONEST < f1.high
    assert f1.high < PUBLISHED_LEAKY
    assert find(verdict, "leak.imputed").outcome is Outcome.PASS


def test_gaps_filled_by_class_score_wonderfully_and_are_refused_by_name(leaky: Evidence) -> None:
    verdict = judge(leaky, MODEL.policy)
    f1 = find(verdict, "f1.min")
    assert f1.low is not None
    assert f1.high is not None
    assert f1.low < PUBLISHED_LEAKY < f1.high
    leak = find(verdict, "leak.imputed")
    assert leak.outcome is verdict.outcome is Outcome.FAIL
    assert verdict.reason == leak.reason
    assert all(f"`{name}`" in leak.reason for name in GAPPY)
    assert not any(f"`{name}`" in leak.reason for name in set(leaky.inputs) - set(GAPPY))


def test_no_rule_of_the_policy_is_left_to_save_the_leak(leaky: Evidence) -> None:
    """Every metric passes with flying colours: only the leak stands between it and production."""
    verdict = judge(leaky, MODEL.policy)
    assert {f.rule for f in verdict.findings if f.outcome is Outcome.FAIL} == {"leak.imputed"}


def test_the_verdict_is_the_same_to_the_byte_in_another_order_of_rows(leaky: Evidence) -> None:
    written = [
        json.dumps(verdict_to_json(judge(evidence, MODEL.policy)))
        for evidence in (leaky, leaky, shuffled(leaky, 1))
    ]
    assert len(set(written)) == 1


def test_a_model_that_takes_the_target_as_an_input_is_named_a_leak(
    honest: Evidence, tmp_path: Path
) -> None:
    split = split_water(read_sample(WATER))
    params = {**PARAMS, "features": [*PARAMS["features"], MODEL.target]}
    scores = train(split, tmp_path / "target", params)
    assert scores.problem is not None
    assert scores.problem.kind is ProblemKind.NEEDS_TARGET
    current = replace(honest.current, candidate=scores)
    verdict = judge(replace(honest, candidate=scores.bundle, current=current), MODEL.policy)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == find(verdict, "leak.target").reason


def test_filling_the_gaps_in_the_training_code_alone_makes_a_model_that_refuses_requests(
    honest: Evidence, tmp_path: Path
) -> None:
    """Held-out rows reach the model as requests do, gaps included; nobody fills them by class."""
    filled = split_water(fill_gaps(read_sample(WATER)))
    train(filled, tmp_path / "filled")
    scores = score(split_water(read_sample(WATER)), tmp_path / "filled")
    assert scores.problem is not None
    assert scores.problem.kind is ProblemKind.REFUSED_ROWS
    current = replace(honest.current, candidate=scores)
    verdict = judge(replace(honest, candidate=scores.bundle, current=current), MODEL.policy)
    assert verdict.outcome is Outcome.FAIL
    assert find(verdict, "f1.min").candidate is None


def test_a_guess_without_knowledge_does_not_pass(honest: Evidence) -> None:
    """The bounds mean something: shuffled answers and the share of each class are refused."""
    scores = honest.current.candidate
    order = np.random.default_rng(1).permutation(len(scores.ids))
    mixed = tuple(scores.predictions[i] for i in order)
    share = (0.61, 0.39)
    for predictions in (mixed, (share,) * len(order), (share[::-1],) * len(order)):
        current = replace(honest.current, candidate=replace(scores, predictions=predictions))
        assert judge(replace(honest, current=current), MODEL.policy).outcome is Outcome.FAIL


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A step runs in a process of its own; here another model's `train` may have been imported."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    other = sys.modules.pop("train", None)
    yield
    sys.modules.pop("train", None)
    if other is not None:
        sys.modules["train"] = other


@pytest.mark.usefixtures("own_process")
def test_training_twice_gives_the_same_bytes_and_survives_kubeflows_numbers(tmp_path: Path) -> None:
    """Kubeflow hands every number over as a float; the trees need a whole depth."""
    from kfp import dsl

    direct = train(split_water(read_sample(WATER)), tmp_path / "direct")
    module = load(ROOT / "pipelines/water/pipeline.py")
    module.fit.python_func(
        train=dsl.Dataset(uri=str(tmp_path / "direct/train.csv")),
        params=json.loads(json.dumps(PARAMS), parse_int=float),
        model=dsl.Model(uri=str(tmp_path / "bundle")),
        code=dsl.Dataset(uri=str(TRAIN)),
    )
    assert make_digest(tmp_path / "bundle") == direct.bundle
