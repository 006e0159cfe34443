"""Small trained classifiers and the rows that they learnt from, for the tests of serving."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xgboost

if TYPE_CHECKING:
    from pathlib import Path

SPECIES = ("adelie", "chinstrap", "gentoo")


@cache
def birds() -> pd.DataFrame:
    """Return 240 birds: a length with gaps, a mass, an island."""
    draw = np.random.default_rng(5)
    length = np.where(draw.random(240) < 0.1, np.nan, draw.normal(45, 6, 240))
    island = draw.choice(["biscoe", "dream"], 240)
    return pd.DataFrame({"length": length, "mass": draw.normal(4200, 800, 240), "island": island})


def codes(classes: int) -> Any:
    """Return a code for each bird that its mass says, with some noise."""
    noise = np.random.default_rng(6).normal(0, 300, 240)
    bounds = {2: [4300], 3: [3800, 4600]}[classes]
    return np.digitize(birds()["mass"] + noise, bounds)


def boosted(classes: int) -> tuple[xgboost.XGBClassifier, pd.DataFrame]:
    """Return trees that tell 2 or 3 classes apart by their codes, and their inputs."""
    inputs = birds().astype({"island": "category"})
    model = xgboost.XGBClassifier(n_estimators=12, max_depth=3, enable_categorical=True, n_jobs=1)
    return model.fit(inputs, codes(classes)), inputs


def rows() -> list[dict[str, object]]:
    """Return the birds as requests name them."""
    frame = birds()
    found: list[dict[str, object]] = (
        frame.astype(object).where(frame.notna(), None).to_dict("records")
    )
    return found


def write_holdout(path: Path, wanted: int = 240) -> Path:
    """Write some of the birds as held-out rows."""
    lines = (json.dumps({"id": f"r{n}", "row": row}) for n, row in enumerate(rows()[:wanted]))
    path.write_text("\n".join(lines) + "\n")
    return path
