"""gitops.yaml: what is accepted, and what a person reads when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters.documents import parse_config
from gitops.config import is_inside
from gitops.digest import make_digest
from gitops.errors import ExitCode, InputError
from gitops.policy import Tolerance

MINIMAL = """\
version: 1
models:
  fuel:
    data: data/cars.csv
    target: mpg
    pipeline: pipelines/fuel/pipeline.py:train
    gate:
      metrics:
        rmse: {max: 4.5, max_regression: 2%}
"""


def refuse(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_config(text.encode())
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    return caught.value


def test_a_minimal_file_gets_sensible_defaults() -> None:
    model = parse_config(MINIMAL.encode()).model("fuel")
    assert model.sources == ("pipelines/fuel",)
    assert model.pointer == "data/models/fuel.dvc"
    assert model.manifest == "data/models/fuel.release.json"
    assert model.holdout.fraction == 0.3
    assert model.policy.metrics[0].max_regression == Tolerance(amount=0.02, relative=True)


def test_every_problem_is_told_at_once_with_its_line_and_a_guess() -> None:
    error = refuse(
        MINIMAL.replace("{max: 4.5,", "{maxx: 4.5,").replace("target: mpg", "target: 3")
        + "modles: {}\n"
    )
    text = str(error)
    assert text.startswith("gitops.yaml: 3 problems")
    assert "line 5: models.fuel.target: 3 is not of type 'string'" in text
    assert "unknown key 'maxx' (did you mean 'max'?)" in text
    assert "unknown key 'modles' (did you mean 'models'?)" in text


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{max: 4.5, max_regression: 2%}", "{prove: true}", "no rule: give at least one of min"),
        ("rmse: {max: 4.5, max_regression: 2%}", "{}", "a policy without a rule proves nothing"),
        ("rmse:", "rmsee:", "did you mean 'rmse'?"),
        ("rmse:", "cost:", "a custom one needs `function: file.py:name`"),
        ("rmse:", "f1:", "the metrics of a regression task are rmse, mae"),
        ("2%", "-2%", "Absolute, in units of the metric (0.5), or relative"),
        ("    target: mpg\n", "", "missing 'target'"),
        ("data/cars.csv", "../cars.csv", "'../cars.csv' must stay in the repository"),
        ("data/cars.csv", "/etc/passwd", "must stay in the repository"),
        ("pipelines/fuel/pipeline.py:train", ".git/hooks/x.py:train", "must stay"),
        ("max: 4.5", "max: .inf", "a number must be finite"),
        ("version: 1", "version: 1\nversion: 1", "the key 'version' appears twice"),
        ("target: mpg", "target: *x", "alias"),
    ],
)
def test_a_bad_file_is_refused_by_name(old: str, new: str, says: str) -> None:
    assert says in str(refuse(MINIMAL.replace(old, new)))


def test_two_models_may_not_share_a_pointer() -> None:
    body = MINIMAL.split("  fuel:\n")[1]
    second = MINIMAL + "  other:\n" + body + "    release: {pointer: data/models/fuel.dvc}\n"
    assert "two models share 'data/models/fuel.dvc'" in str(refuse(second))


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        parse_config(MINIMAL.encode()).model("fule")
    assert caught.value.hint == "models: fuel"


def test_a_policy_digest_follows_its_content_not_its_layout() -> None:
    other = MINIMAL.replace(
        "rmse: {max: 4.5, max_regression: 2%}",
        "rmse:\n          max_regression: 2 %\n          max: 4.50",
    )
    first, second = (parse_config(t.encode()).model("fuel").policy for t in (MINIMAL, other))
    assert first.digest == second.digest
    rule = replace(first.metrics[0], maximum=4.6)
    assert replace(first, metrics=(rule,)).digest != first.digest


def test_serving_and_policy_are_no_part_of_what_a_result_depends_on() -> None:
    changed = MINIMAL.replace("max: 4.5", "max: 9") + "    serve: {port: 8080}\n"
    first, second = (parse_config(t.encode()).model("fuel") for t in (MINIMAL, changed))
    assert first.definition == second.definition


@given(st.text(max_size=30))
def test_a_path_inside_never_leads_out(text: str) -> None:
    if is_inside(text):
        assert ".." not in text.split("/")
        assert not text.startswith(("/", "-"))
        assert "\0" not in text
        assert "\n" not in text


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_a_digest_does_not_depend_on_the_order_of_keys(body: dict[str, object]) -> None:
    assert make_digest(body) == make_digest(dict(reversed(body.items())))
