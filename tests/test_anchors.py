"""Defects that gates have shipped with: each has a test, here or, where `ELSEWHERE` says so, at home."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gitops.config import Task
from gitops.errors import InputError
from gitops.flow.judging import find_applied_policy
from gitops.flow.workspace import open_workspace
from gitops.gate.evidence import Comparison, Evidence
from gitops.gate.judge import judge
from gitops.gate.verdict import Outcome
from tests.gate_evidence import (
    CHAMPION,
    find,
    judge_rule,
    make_evidence,
    make_ids,
    make_policy,
    make_rule,
    make_scores,
    noisy,
)
from tests.repositories import make_repository
from tests.test_config import MINIMAL

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
# What went wrong in the field, and which tests keep it from happening here.
ELSEWHERE = {
    "the champion was compared with itself": (
        "test_gate_rules.py::test_a_champion_that_is_strictly_better_fails_the_candidate_and_says_by_how_much",
        "test_gate_rules.py::test_a_champion_that_is_strictly_worse_passes_the_candidate",
        "test_gate_rules.py::test_the_same_model_is_no_regression_and_no_improvement",
        "test_gate_judge.py::test_evidence_about_something_else_is_refused",
    ),
    "a later step overwrote the verdict's flag": (
        "test_release.py::test_no_other_verdict_releases_anything",
        "test_gate_formats.py::test_a_failing_rule_cannot_be_hidden_by_editing_the_outcome",
        "test_waiver.py::test_without_a_waiver_nothing_but_a_pass_gets_through",
        "test_waiver.py::test_a_release_cannot_even_be_planned_without_a_waiver",
    ),
    "the policy let everything through": (
        "test_gate_selftest.py::test_a_policy_that_lets_one_through_is_named_with_figures_and_a_cure",
        "test_gate_selftest.py::test_nothing_can_pass_a_vacuous_policy",
    ),
    "a slice vanished, and nobody noticed": (
        "test_gate_slices.py::test_a_value_that_vanished_fails_by_name",
    ),
    "an alarm on eight rows, or on one of two hundred columns": (
        "test_gate_drift.py::test_eight_rows_never_alarm",
        "test_gate_drift.py::test_two_hundred_columns_of_noise_never_alarm",
        "test_gate_drift.py::test_few_of_the_columns_named_moved_by_accident",
    ),
    "no bound meant a pass": (
        "test_gate_judge.py::test_a_policy_that_decides_nothing_is_a_mistake_and_never_a_pass",
    ),
    "a relative change had two meanings": (
        "test_gate_rules.py::test_a_share_is_taken_of_the_size_of_the_champions_value_even_when_it_is_negative",
    ),
    "a champion at zero divided the change": (
        "test_gate_rules.py::test_a_share_of_a_champion_at_zero_has_no_meaning",
        "test_gate_rules.py::test_an_absolute_tolerance_works_against_a_champion_at_zero",
    ),
    "a value that is not finite passed": (
        "test_gate_evidence.py::test_a_prediction_that_is_not_a_finite_number_fails",
        "test_gate_evidence.py::test_a_label_that_is_not_a_finite_number_fails",
    ),
    "the picture host was down, and the report with it": (
        "test_report_html.py::test_the_page_loads_nothing_and_runs_nothing",
        "test_report_markdown.py::test_no_data_becomes_a_link_an_image_html_a_mention_or_a_command",
    ),
    "the robot's commit started another run": (
        "test_change.py::test_a_file_is_known_by_its_place",
    ),
    "a nested change was missed": (
        "test_plan.py::test_a_shallow_clone_plans_the_same_as_a_full_one",
    ),
    "a pointer was committed without its data": (
        "test_plan.py::test_a_pointer_whose_data_was_never_pushed_is_refused_with_the_command_that_mends_it",
    ),
    "two releases at once lost one": (
        "test_release_publish.py::test_a_branch_that_moves_while_we_build_is_built_upon",
        "test_release_publish.py::test_two_models_released_at_once_fifty_times_lose_nothing",
    ),
    "a server was ready, and served something else": (
        "test_rollout.py::test_a_server_that_predicts_something_else_never_serves",
    ),
}
ACTUAL, GOOD = noisy(noise=2.0)
_, BAD = noisy(noise=4.0, seed=2)


@pytest.mark.parametrize("tests", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_the_test_of_a_known_defect_is_still_there(tests: Sequence[str]) -> None:
    for test in tests:
        file, _, name = test.partition("::")
        tree = ast.parse((HERE / file).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


# A classification: the champion's probabilities and the candidate's differ in sharpness alone.


def make_classes(task: Task, sharpness: float, seed: int = 3) -> tuple[list[str], list[object]]:
    """Return labels and probabilities; the sharper, the more often the right class is likely."""
    random = np.random.default_rng(seed)
    count = 2 if task is Task.BINARY else 3
    labels = np.random.default_rng(4).integers(0, count, 400)
    scores = random.standard_normal((400, count)) + sharpness * np.eye(count)[labels]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return [str(label) for label in labels], [tuple(row) for row in chances.tolist()]


def make_classified(task: Task, candidate: float, champion: float) -> Evidence:
    labels, ours = make_classes(task, candidate)
    _, theirs = make_classes(task, champion)
    names = tuple(sorted(set(labels)))
    evidence = make_evidence(
        labels,
        replace(make_scores(ours), classes=names),
        replace(make_scores(theirs, CHAMPION), classes=names),
    )
    return replace(evidence, task=task)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1", "log_loss", "brier"])
@pytest.mark.parametrize(
    ("candidate", "champion", "outcome"),
    [(3.0, 0.5, Outcome.PASS), (0.5, 3.0, Outcome.FAIL), (1.0, 1.0, Outcome.PASS)],
    ids=["champion worse", "champion better", "the same model"],
)
def test_a_classifier_is_compared_with_the_champion_and_not_with_itself(
    task: Task, metric: str, candidate: float, champion: float, outcome: Outcome
) -> None:
    evidence = make_classified(task, candidate, champion)
    finding = judge_rule(evidence, make_rule(metric, max_regression=0.02), "max_regression")
    assert finding.outcome is outcome
    assert (finding.difference == 0) is (candidate == champion)
    assert ("no different from the champion's" in finding.reason) is (candidate == champion)


# A relative tolerance has one meaning: (candidate - champion) / |champion|.


@pytest.mark.parametrize(("error", "outcome"), [(4.07, Outcome.PASS), (4.2, Outcome.FAIL)])
def test_two_per_cent_of_a_champion_at_four_allow_four_point_zero_eight(
    error: float, outcome: Outcome
) -> None:
    """Both models miss every car by a fixed amount, now above, now below: no row is luck."""
    signs = [(-1) ** i for i in range(len(ACTUAL))]
    candidate = [value + error * sign for value, sign in zip(ACTUAL, signs, strict=True)]
    champion = [value + 4 * sign for value, sign in zip(ACTUAL, signs, strict=True)]
    evidence = make_evidence(ACTUAL, candidate, champion)
    finding = judge_rule(evidence, make_rule(max_regression="2%"), "max_regression")
    assert finding.bound == pytest.approx(0.08)
    assert finding.champion == pytest.approx(4)
    assert finding.outcome is outcome


@pytest.mark.parametrize("tolerance", ["101%", "100%"])
def test_a_ratio_in_place_of_a_share_is_refused(tolerance: str) -> None:
    policy = make_policy(make_rule(maximum=9, max_regression=tolerance))
    with pytest.raises(InputError, match="no tolerance; 1% is written `1%`"):
        judge(make_evidence(ACTUAL, GOOD, BAD), policy)


@pytest.mark.parametrize("metric", ["rmse", "r2"])
@pytest.mark.parametrize("tolerance", [0.5, "2%"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "4"])
def test_nothing_passes_against_a_champion_without_a_number(
    metric: str, tolerance: float | str, value: object
) -> None:
    champion = make_scores([value, *BAD[1:]], CHAMPION)
    rule = make_rule(metric, max_regression=tolerance)
    finding = judge_rule(make_evidence(ACTUAL, GOOD, champion), rule, "max_regression")
    assert finding.outcome in (Outcome.INCONCLUSIVE, Outcome.FAIL)
    assert "row-0000" in finding.reason


@pytest.mark.parametrize("shift", [30.0, -30.0])
def test_a_champion_below_zero_is_beaten_and_beats_like_any_other(shift: float) -> None:
    """R² far below zero on both sides: what is less bad is better, whatever a division says."""
    worse = [value + shift for value in GOOD]
    better = [value + shift / 3 for value in GOOD]
    rule = make_rule("r2", max_regression="10%")
    wins = judge_rule(make_evidence(ACTUAL, better, worse), rule, "max_regression")
    loses = judge_rule(make_evidence(ACTUAL, worse, better), rule, "max_regression")
    assert wins.champion is not None
    assert loses.champion is not None
    assert wins.champion < loses.champion < 0
    assert (wins.outcome, loses.outcome) == (Outcome.PASS, Outcome.FAIL)


def test_a_regression_within_the_tolerance_passes_and_one_beyond_it_does_not() -> None:
    """A gate that can only demand an improvement stops every harmless refactoring."""
    slightly = [value + 0.05 * (-1) ** i for i, value in enumerate(GOOD)]
    evidence = make_evidence(ACTUAL, slightly, GOOD)
    allowed = judge_rule(evidence, make_rule(max_regression="10%"), "max_regression")
    assert allowed.outcome is Outcome.PASS
    beyond = make_evidence(ACTUAL, BAD, GOOD)
    refused = judge_rule(beyond, make_rule(max_regression="10%"), "max_regression")
    assert refused.outcome is Outcome.FAIL


# What a merge request takes away from the rules is still there when it is judged.


def test_a_metric_that_the_merge_request_removes_still_decides(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "work")
    repository.commit_files({"gitops.yaml": MINIMAL + "        r2: {min: 0.99}\n"})
    repository.git("checkout", "--quiet", "-b", "easier")
    repository.commit_files({"gitops.yaml": MINIMAL.replace("4.5", "450")})
    workspace = open_workspace(repository.path, {}, target="main")
    applied = find_applied_policy(workspace, workspace.model("fuel"))
    verdict = judge(make_evidence(ACTUAL, GOOD), applied.policy)
    assert verdict.outcome is Outcome.FAIL
    assert find(verdict, "r2.min").outcome is Outcome.FAIL
    assert find(verdict, "rmse.max").bound == 4.5
    removed = [line for line in applied.change.splitlines() if line.startswith("-")]
    assert any("r2" in line for line in removed)


# A verdict blames what the merge request changed, and nothing else.


def make_harder(candidate_noise: float) -> Evidence:
    """Return evidence whose new rows are four times as hard, for both models alike."""
    random = np.random.default_rng(7)
    actual = random.normal(23, 7, 300)
    error = random.standard_normal(300) * np.where(np.arange(300) < 150, 2, 8)
    champion = (actual + error).tolist()
    candidate = (actual + error + candidate_noise * random.standard_normal(300)).tolist()
    earlier = Comparison(
        ids=make_ids(150),
        actual=tuple(actual[:150].tolist()),
        candidate=make_scores(candidate[:150]),
        champion=make_scores(champion[:150], CHAMPION),
    )
    return replace(make_evidence(actual.tolist(), candidate, champion), earlier=earlier)


def test_data_that_got_harder_for_both_models_is_not_held_against_the_candidate() -> None:
    verdict = judge(make_harder(0.2), make_policy(make_rule(maximum=9, max_regression="5%")))
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.attribution is not None
    assert "the data got harder" in verdict.attribution.sentence


def test_a_model_that_got_worse_does_not_hide_behind_harder_data() -> None:
    verdict = judge(make_harder(8), make_policy(make_rule(maximum=99, max_regression="5%")))
    assert find(verdict, "rmse.max_regression").outcome is Outcome.FAIL
    assert verdict.attribution is not None
    assert "the model got worse" in verdict.attribution.sentence


def test_a_verdict_is_bound_to_its_own_inputs_and_to_no_other_models() -> None:
    policy = make_policy(make_rule(maximum=9))
    ours = make_evidence(ACTUAL, GOOD, BAD)
    theirs = replace(ours, model="water", fingerprint="sha256:" + "e" * 64)
    assert judge(ours, policy).key == judge(replace(ours), policy).key
    assert judge(ours, policy).key != judge(theirs, policy).key
