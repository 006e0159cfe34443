"""An experiment comes in; the production pipeline goes out: the experiment itself, judged, released, rolled out."""

from typing import Any

from kfp import dsl

from gitops import steps


def make_production(experiment: Any) -> Any:
    """Compose the production pipeline of one model.

    Args:
        experiment: the experimental pipeline, nested as it is, or `steps.recall`, which brings
            back its stored result; both are `(request, params) -> (model, scores)`.

    Returns:
        A KFP pipeline `(request: dict, params: dict) -> str`, the outcome of the rollout.
    """

    @dsl.pipeline(name="production")
    def production(
        request: dict[str, Any],
        params: dict[str, Any],
    ) -> str:
        result = experiment(request=request, params=params)
        verdict = steps.judge(
            request=request, model=result.outputs["model"], scores=result.outputs["scores"]
        )
        tag = steps.release(request=request, verdict=verdict.output)
        return steps.rollout(request=request, tag=tag.output).output  # type: ignore[no-any-return]  # a KFP channel

    return production
