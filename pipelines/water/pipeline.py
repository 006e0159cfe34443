"""Training rows and the content of params.yaml come in; the bundle of the water model goes out."""

from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from gitops.steps import IMAGE


@dsl.component(
    base_image=IMAGE,
    install_kfp_package=False,
    embedded_artifact_path=str(Path(__file__).with_name("train.py")),
)
def fit(
    train: Input[Dataset],
    params: dict[str, Any],
    model: Output[Model],
    code: dsl.EmbeddedInput[Dataset],
) -> None:
    """Train on every row of `train`; the training code travels inside the compiled pipeline."""
    import json
    import sys
    from importlib import import_module
    from pathlib import Path

    def restore(text: str) -> float:
        return int(text[:-2]) if text.endswith(".0") else float(text)

    # Between Kubeflow's steps every number is a float, and trees cannot be 6.0 deep.
    exact = json.loads(json.dumps(params), parse_float=restore)
    sys.path.insert(0, str(Path(code.path).parent))
    import_module("train").train_model(Path(train.path), exact, Path(model.path))


@dsl.pipeline(name="water")
def train(train: Input[Dataset], params: dict[str, Any]) -> Model:
    """One step: the model is small."""
    return fit(train=train, params=params).outputs["model"]
