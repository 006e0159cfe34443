"""The figures behind the pictures: points, confusion, ROC, calibration, moved columns, inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score

from gitops.config import Task
from gitops.gate.evidence import Comparison, Evidence
from gitops.report.classes import (
    OTHER,
    calibration_error,
    make_calibrations,
    make_confusion,
    make_curves,
    true_chances,
)
from gitops.report.columns import make_shift
from gitops.report.markup import Markup
from gitops.report.models import make_importance, make_serving
from gitops.report.pictures.classification import draw_curves
from gitops.report.points import ClassPoints, Points, make_class_points, read_points
from gitops.run import Prediction, Scores
from tests.report_pages import (
    DIGEST,
    SERVING,
    make_inspection,
    make_profile,
    make_sample_classes,
)


def make_scores(classes: tuple[str, ...], **rows: Prediction | None) -> Scores:
    return Scores(
        bundle=DIGEST,
        holdout=DIGEST,
        ids=tuple(rows),
        predictions=tuple(rows.values()),
        classes=classes,
    )


def make_comparison(*labels: str | None, champion: Scores | None = None) -> Comparison:
    candidate = make_scores(("no", "yes"), a=(0.3, 0.7), b=(0.9, 0.1), c=None)
    return Comparison(ids=("a", "b", "c"), actual=labels, candidate=candidate, champion=champion)


def test_only_rows_that_every_model_predicts_are_kept() -> None:
    points = make_class_points(make_comparison("yes", "no", "no"), binary=True, positive="")
    assert points == ClassPoints(
        classes=("no", "yes"), positive="yes", actual=(1, 0), candidate=((0.3, 0.7), (0.9, 0.1))
    )


def test_models_that_list_their_classes_in_another_order_are_joined_by_name() -> None:
    champion = make_scores(("yes", "no"), b=(0.2, 0.8), a=(0.6, 0.4))
    rows = make_comparison("yes", "no", "no", champion=champion)
    points = make_class_points(rows, binary=True, positive="no")
    assert points is not None
    assert points.champion == ((0.4, 0.6), (0.8, 0.2))
    assert points.positive == "no"


def test_a_class_that_one_model_does_not_know_has_no_probability_there() -> None:
    champion = make_scores(("maybe", "no", "yes"), a=(0.5, 0.25, 0.25), b=(0.0, 1.0, 0.0))
    points = make_class_points(
        make_comparison("yes", "no", "no", champion=champion), binary=False, positive=""
    )
    assert points is not None
    assert points.classes == ("maybe", "no", "yes")
    assert points.candidate == ((0.0, 0.3, 0.7), (0.0, 0.9, 0.1))


@pytest.mark.parametrize("bad", [(0.5, 0.6), (1.5, -0.5), (1.0,), 0.5, (float("nan"), 0.5)])
def test_what_is_no_probability_is_not_drawn(bad: Prediction) -> None:
    scores = make_scores(("no", "yes"), a=bad)
    rows = Comparison(ids=("a",), actual=("yes",), candidate=scores, champion=None)
    assert make_class_points(rows, binary=True, positive="") is None


def test_the_task_decides_what_is_drawn() -> None:
    numbers = make_scores((), a=1.5, b=2.5)
    rows = Comparison(ids=("a", "b"), actual=(1.0, 2.0), candidate=numbers, champion=None)
    evidence = Evidence(
        model="m",
        target="y",
        fingerprint=DIGEST,
        candidate=DIGEST,
        champion="",
        champion_reason="first",
        holdout_changed=False,
        current=rows,
        earlier=None,
        inputs={},
    )
    assert read_points(evidence) == Points(actual=(1.0, 2.0), candidate=(1.5, 2.5))
    classes = replace(evidence, task=Task.BINARY, current=make_comparison("yes", "no", "no"))
    assert isinstance(read_points(classes), ClassPoints)


@pytest.mark.parametrize("names", [("0", "1"), ("ash", "oak", "yew")])
def test_confusion_and_area_are_what_scikit_learn_says(names: tuple[str, ...]) -> None:
    points = make_sample_classes(names=names)
    chances = np.array(points.candidate)
    expected = confusion_matrix(points.actual, chances.argmax(axis=1))
    assert make_confusion(points).candidate == tuple(map(tuple, expected.tolist()))
    hits = np.eye(len(names))[list(points.actual)]
    columns = slice(1, 2) if len(names) == 2 else slice(None)
    area = roc_auc_score(hits[:, columns].ravel(), chances[:, columns].ravel())
    assert make_curves(points)[0].area == pytest.approx(area)


def test_equal_probabilities_are_one_corner_of_the_curve() -> None:
    half = ((0.5, 0.5),) * 4
    points = ClassPoints(classes=("0", "1"), positive="1", actual=(0, 1, 0, 1), candidate=half)
    curve = make_curves(points)[0]
    assert curve.corners == ((0.0, 0.0), (1.0, 1.0))
    assert curve.area == 0.5


def test_one_class_alone_has_no_curve() -> None:
    points = ClassPoints(
        classes=("0", "1"), positive="1", actual=(1, 1), candidate=((0.5, 0.5), (0.1, 0.9))
    )
    assert make_curves(points) == []


def test_a_drawn_curve_reaches_its_corner() -> None:
    picture = draw_curves(make_curves(make_sample_classes(rows=900)), anchor="a")
    assert isinstance(picture, Markup)
    assert picture.count("L428.0 16.7") == 2


def test_a_probability_of_one_half_is_the_positive_class() -> None:
    points = ClassPoints(
        classes=("0", "1"), positive="0", actual=(0, 1), candidate=((0.5, 0.5), (0.5, 0.5))
    )
    assert make_confusion(points).candidate == ((1, 0), (1, 0))


def test_rare_classes_are_counted_together() -> None:
    confusion = make_confusion(make_sample_classes(names=tuple("abcdefghijkl")))
    assert len(confusion.classes) == 8
    assert confusion.classes[-1] == OTHER
    assert sum(map(sum, confusion.candidate)) == 200


def test_calibration_of_honest_probabilities_is_close_to_the_diagonal() -> None:
    chance = np.random.default_rng(1)
    shares = chance.uniform(size=5000)
    actual = tuple(int(value) for value in chance.uniform(size=5000) < shares)
    candidate = tuple((1 - share, share) for share in shares.tolist())
    points = ClassPoints(classes=("0", "1"), positive="1", actual=actual, candidate=candidate)
    bins = make_calibrations(points)[0]
    assert len(bins) == 10
    assert calibration_error(bins) < 0.03
    assert sum(one.low <= one.predicted <= one.high for one in bins) >= 7


@given(st.integers(1, 60), st.integers(2, 4))
def test_any_rows_have_bins_within_zero_and_one(rows: int, count: int) -> None:
    points = make_sample_classes(rows=rows, names=tuple("abcd"[:count]))
    for bins in make_calibrations(points):
        assert sum(one.rows for one in bins) == rows
        assert all(0 <= one.low <= one.share <= one.high <= 1 for one in bins)
    assert all(0 <= value <= 1 for one in true_chances(points) for value in one)


def test_columns_that_moved_most_come_first_and_gone_ones_are_named() -> None:
    before, after = make_profile("d", 0.0), make_profile("e", 1.0)
    after = replace(after, columns=(*after.columns[:2], replace(after.columns[2], name="new")))
    shift = make_shift(before, after)
    assert shift is not None
    assert [column.name for column in shift.drawn] == ["wght origin", "wght"]
    assert (shift.vanished, shift.appeared) == (("wght maker",), ("new",))
    assert shift.columns[0].values == (
        ("2", 0.4, 0.5625),
        ("wght", 0.6, 0.375),
        ("other values", 0.0, 0.0625),
    )


def test_what_moved_by_chance_only_is_named_and_not_drawn() -> None:
    before, after = make_profile("d", 0.0), make_profile("e", 0.0)
    names = tuple((f"car {i}", 1) for i in range(300))
    many = replace(before.columns[1], name="name", values=names[:150])
    other = replace(many, values=names[75:225])
    shift = make_shift(
        replace(before, columns=(*before.columns, many)),
        replace(after, columns=(*after.columns, other)),
    )
    assert shift is not None
    assert shift.drawn == ()
    assert [column.name for column in shift.named] == ["name", "wght", "wght maker", "wght origin"]


def test_the_same_data_has_not_moved() -> None:
    assert make_shift(make_profile("d", 0.0), make_profile("d", 0.0)) is None
    assert make_shift(None, make_profile("d", 0.0)) is None


def test_inputs_of_both_models_stand_side_by_side() -> None:
    lines = make_importance(make_inspection(("a", 1.0), ("b", 3.0)), make_inspection(("c", 2.0)))
    assert [(line.name, line.candidate, line.champion) for line in lines] == [
        ("b", 3.0, None),
        ("c", None, 2.0),
        ("a", 1.0, None),
    ]


def test_serving_figures_stand_beside_their_bounds() -> None:
    lines = make_serving(make_inspection(), None, SERVING)
    assert [(line.unit, line.candidate, line.champion, line.bound) for line in lines] == [
        ("MB", 0.412, None, None),
        ("s", 0.31, None, None),
        ("ms", 0.42, None, None),
        ("ms", 0.9, None, 20.0),
    ]
    assert make_serving(None, make_inspection(), SERVING) == ()
