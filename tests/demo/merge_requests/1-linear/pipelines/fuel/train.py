"""Cars with their fuel consumption and the content of params.yaml come in; a model bundle goes out.

Plain code without Kubeflow: `python pipelines/fuel/train.py train.csv params.yaml bundle/`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from sklearn.pipeline import Pipeline

TARGET = "mpg"


def train_model(table: Path, params: Mapping[str, Any], bundle: Path) -> None:
    """Fit a linear model on all rows of a CSV table and write its bundle."""
    import pandas as pd

    from gitops.serving.bundle import write_bundle

    rows = pd.read_csv(table)
    inputs, actual = rows[params["features"]], rows[TARGET]
    model = fit_linear(inputs, actual, params["settings"])
    error = actual - model.predict(inputs)
    metrics = {"train_rmse": float((error**2).mean() ** 0.5)}
    write_bundle(bundle, model=model, inputs=inputs, target=TARGET, metrics=metrics)


def fit_linear(inputs: pd.DataFrame, actual: pd.Series, settings: Mapping[str, Any]) -> Pipeline:
    """Return a polynomial regression of the given degree; degree 1 is a straight line."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    model = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        PolynomialFeatures(int(settings["degree"]), include_bias=False),
        LinearRegression(),
    )
    return model.fit(inputs, actual)


if __name__ == "__main__":
    import yaml

    table_file, params_file, bundle_folder = map(Path, sys.argv[1:])
    train_model(table_file, yaml.safe_load(params_file.read_text("utf-8")), bundle_folder)
