"""KFP components: artifacts and a request come in, artifacts go out; each is a thin shell around the flow.

KFP copies the body of a component into the compiled pipeline, so a body imports what it needs, and
annotations must be real objects (no postponed evaluation in this module).

A request is what a step needs to know about the run: repository, commit, model, where documents go.
"""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from gitops.engines import IMAGE

# The one image holds the toolkit, the model libraries, and nothing of a team's code, which travels
# in the compiled pipeline. It changes only with the lock file.
__all__ = ["IMAGE", "judge", "prepare", "produce", "recall", "release", "rollout", "score"]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def prepare(
    request: dict[str, Any],
    train: Output[Dataset],
    holdout: Output[Dataset],
    labels: Output[Dataset],
) -> None:
    """Split the data of the commit into training rows, held-out rows and their labels."""
    from gitops.flow.preparing import prepare_rows

    prepare_rows(request, train=train.path, holdout=holdout.path, labels=labels.path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def score(
    request: dict[str, Any],
    model: Input[Model],
    holdout: Input[Dataset],
    scores: Output[Artifact],
) -> None:
    """Predict the held-out rows, without the target, through the predictor that serves."""
    from gitops.flow.results import score_bundle

    score_bundle(request, bundle=model.path, holdout=holdout.path, scores=scores.path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def recall(
    request: dict[str, Any],
    params: dict[str, Any],
    model: Output[Model],
    scores: Output[Artifact],
) -> None:
    """Bring back the judged result of the same fingerprint instead of training again.

    It takes the params of the experiment that it stands for; they are in the fingerprint.
    """
    del params
    from gitops.flow.results import recall_result

    recall_result(request, bundle=model.path, scores=scores.path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def judge(
    request: dict[str, Any],
    model: Input[Model],
    scores: Input[Artifact],
) -> str:
    """Judge what would ship, on the target branch's policy; stop unless it passes or is waived."""
    from gitops.flow.production import judge_for_release

    return judge_for_release(request, bundle=model.path, scores=scores.path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def release(request: dict[str, Any], verdict: str) -> str:
    """Push the model with DVC, prove it arrived, commit its pointer and tag it."""
    from gitops.flow.production import release_judged

    return release_judged(request, verdict=verdict)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rollout(request: dict[str, Any], tag: str) -> str:
    """Serve the release beside the old one, compare row by row, then switch."""
    from gitops.flow.production import roll_out_release

    return roll_out_release(request, tag=tag)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def produce(request: dict[str, Any]) -> None:
    """Bring the target branch, as it is now, into production: what a schedule starts."""
    from gitops.flow.production import produce_tip

    produce_tip(request)
