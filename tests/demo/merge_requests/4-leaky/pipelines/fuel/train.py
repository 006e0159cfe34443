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
    """Fit a model with consumption classes on all rows of a CSV table and write its bundle."""
    import pandas as pd

    from gitops.serving.bundle import write_bundle

    rows = pd.read_csv(table)
    inputs, actual = rows[[TARGET, *params["features"]]], rows[TARGET]
    model = fit_classes(inputs, actual, params)
    error = actual - model.predict(inputs)
    metrics = {"train_rmse": float((error**2).mean() ** 0.5)}
    write_bundle(bundle, model=model, inputs=inputs, target=TARGET, metrics=metrics)


def fit_classes(inputs: pd.DataFrame, actual: pd.Series, params: Mapping[str, Any]) -> Pipeline:
    """Return a polynomial regression that also knows the consumption class of each car."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures, StandardScaler

    curve = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        PolynomialFeatures(int(params["settings"]["degree"]), include_bias=False),
    )
    # Thirsty and thrifty cars behave differently, so tell the model which is which.
    classes = KBinsDiscretizer(n_bins=6, encode="onehot-dense", strategy="uniform")
    columns = ColumnTransformer(
        [("curve", curve, params["features"]), ("class", classes, [TARGET])]
    )
    return make_pipeline(columns, LinearRegression()).fit(inputs, actual)


if __name__ == "__main__":
    import yaml

    table_file, params_file, bundle_folder = map(Path, sys.argv[1:])
    train_model(table_file, yaml.safe_load(params_file.read_text("utf-8")), bundle_folder)
