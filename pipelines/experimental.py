"""A model's `train` pipeline comes in; the experiment around it goes out: prepare, train, score."""

from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Model

from gitops import steps


class Result(NamedTuple):
    """What an experiment leaves behind: the bundle, and its predictions of the held-out rows."""

    model: Model
    scores: Artifact


def make_experimental(train: Any) -> Any:
    """Compose the experimental pipeline of one model.

    Args:
        train: a KFP pipeline or component `(train: Dataset, params: dict) -> Model`.

    Returns:
        A KFP pipeline `(request: dict, params: dict) -> (model: Model, scores: Artifact)`.
    """

    @dsl.pipeline(name="experimental")
    def experimental(
        request: dict[str, Any],
        params: dict[str, Any],
    ) -> Result:
        rows = steps.prepare(request=request)
        trained = train(train=rows.outputs["train"], params=params)
        scored = steps.score(request=request, model=trained.output, holdout=rows.outputs["holdout"])
        return Result(trained.output, scored.outputs["scores"])

    return experimental
