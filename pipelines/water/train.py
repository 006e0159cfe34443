"""Water samples and the content of params.yaml come in; the bundle of a classifier goes out.

Plain code without Kubeflow: `python pipelines/water/train.py train.csv params.yaml bundle/`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET = "Potability"


def train_model(table: Path, params: Mapping[str, Any], bundle: Path) -> None:
    """Fit boosted trees on all rows of a CSV table and write their bundle.

    Missing measurements stay missing: a tree learns a branch for them. To fill them in would need a
    guess, and the guess that scores best, the mean of the row's own class, is the answer itself.
    """
    import pandas as pd
    from xgboost import XGBClassifier

    from gitops.serving.bundle import write_bundle

    rows = pd.read_csv(table)
    inputs, actual = rows[params["features"]], rows[TARGET]
    # One thread and a fixed seed: the same rows give the same model, byte for byte.
    model = XGBClassifier(n_jobs=1, **params["settings"]).fit(inputs, actual)
    metrics = {"train_accuracy": float(model.score(inputs, actual))}
    write_bundle(bundle, model=model, inputs=inputs, target=TARGET, task="binary", metrics=metrics)


if __name__ == "__main__":
    import yaml

    table_file, params_file, bundle_folder = map(Path, sys.argv[1:])
    train_model(table_file, yaml.safe_load(params_file.read_text("utf-8")), bundle_folder)
