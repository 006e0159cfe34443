"""The story: eleven merge requests, what each does, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# The toolkit's own example: the first merge request brings its pipeline, the fifth its model.
PIPELINE = ("pipelines/fuel/pipeline.py",)
MODEL = ("pipelines/fuel/train.py", "pipelines/fuel/params.yaml")
WATER = tuple(f"pipelines/water/{name}" for name in ("pipeline.py", "train.py", "params.yaml"))

FIRST_ROWS, ALL_ROWS = 91, 110  # held-out cars, before and after the later model years arrive
TINY_ROWS, WATER_ROWS = 7, 990  # held-out cars of a fiftieth, and held-out water samples
FIRST_YEARS = 79  # cars up to this model year are there from the beginning
LATE_CAR = ("29.9", "4", "98", "68", "2110", "16", "82", "3", "isuzu i-mark")


class End(StrEnum):
    """How a merge request ends: the gate's word, or why there was nothing to judge."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    REFUSED = "REFUSED"
    SKIPPED = "SKIPPED"


class Data(StrEnum):
    """What a merge request does to the data set."""

    KEPT = "kept"
    GROWN = "grown"  # later model years are added, and pushed with DVC
    FORGOTTEN = "forgotten"  # one more row, and `dvc push` forgotten
    POINTLESS = "pointless"  # every number without its decimal point
    FILLED = "filled"  # other data, whose gaps are filled by class


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """One merge request of the story.

    Attributes:
        number: its number, as in `demo/fuel!3`.
        name: its branch, and with the number its folder of changed files.
        title: what its author wrote.
        tale: what the reader should know before it runs.
        end: how it must end, or the demo fails.
        finding: the rule that must have decided, empty where none has to.
        rows: held-out rows that it must have been judged on, 0 where nothing is judged.
        own: files taken from this repository instead of the folder.
        data: what happens to the data set.
        model: the model that it is about.
        waiver: why a person lets it pass although the gate does not, empty where nobody does.
    """

    number: int
    name: str
    title: str
    tale: str
    end: End
    finding: str = ""
    rows: int = 0
    own: tuple[str, ...] = ()
    data: Data = Data.KEPT
    model: str = "fuel"
    waiver: str = ""

    @property
    def folder(self) -> str:
        """Return the folder of the files that it changes."""
        return f"{self.number}-{self.name}"

    @property
    def reference(self) -> str:
        """Return the reference that GitLab writes into the merge commit."""
        return f"demo/fuel!{self.number}"


MERGE_REQUESTS = (
    MergeRequest(
        number=1,
        name="linear",
        title="Predict consumption from weight and year",
        tale="The first model is a straight line through weight and model year. Nothing is in "
        "production to compare it with, so only the absolute bounds of gitops.yaml decide.",
        end=End.PASS,
        rows=FIRST_ROWS,
        own=PIPELINE,
    ),
    MergeRequest(
        number=2,
        name="polynomial",
        title="Bend the line: degree 2",
        tale="One number changes in params.yaml. From now on there is a champion, and both models "
        "are judged on the same held-out cars, which neither has seen.",
        end=End.PASS,
        rows=FIRST_ROWS,
        finding="rmse.max_regression",
    ),
    MergeRequest(
        number=3,
        name="origin",
        title="Use the origin instead of the year",
        tale="Surely it matters more where a car was built than when? It reads well in review. "
        "The held-out cars disagree, and the gate says how surely.",
        end=End.FAIL,
        rows=FIRST_ROWS,
        finding="rmse.max_regression",
    ),
    MergeRequest(
        number=4,
        name="leaky",
        title="Add the consumption class as a feature",
        tale="An honest mistake with a wonderful score: the class of a car is computed from its "
        "consumption, the very thing to predict. A request to the server never has it.",
        end=End.FAIL,
        rows=FIRST_ROWS,
        finding="leak.target",
    ),
    MergeRequest(
        number=5,
        name="boosted",
        title="Boosted trees on all measurements",
        tale="New code and new parameters: XGBoost on every column but the name. Missing "
        "horsepower is no trouble for trees.",
        end=End.PASS,
        rows=FIRST_ROWS,
        finding="rmse.max_regression",
        own=MODEL,
    ),
    MergeRequest(
        number=6,
        name="new-data",
        title="Add the cars of 1980 to 1982",
        tale="Three model years arrive, after an oil crisis that changed every engine. Git sees "
        "a few digits in a .dvc pointer. Both models meet on the old and on the new held-out cars.",
        end=End.PASS,
        rows=ALL_ROWS,
        finding="rmse.max_regression",
        data=Data.GROWN,
    ),
    MergeRequest(
        number=7,
        name="pointer-without-data",
        title="Add one more car",
        tale="A late evening: `dvc add`, `git commit`, `git push`, and no `dvc push`. The pointer "
        "names bytes that nobody else has.",
        end=End.REFUSED,
        data=Data.FORGOTTEN,
    ),
    MergeRequest(
        number=8,
        name="readme",
        title="Say how to ask the model",
        tale="Words only. Nothing runs, and the plan says why.",
        end=End.SKIPPED,
    ),
    MergeRequest(
        number=9,
        name="lost-points",
        title="Export the data again",
        tale="The same cars, exported on a laptop that writes decimals with a comma: 29.9 miles per "
        "gallon became 299. The pointer changes by a few digits, as it does for good data.",
        end=End.FAIL,
        rows=ALL_ROWS,
        finding="data.range.mpg",
        data=Data.POINTLESS,
    ),
    MergeRequest(
        number=10,
        name="filled-gaps",
        title="A second model: is the water fit to drink?",
        tale="Other data, a classifier, and a recipe from the literature: fill each gap with the "
        "mean of its class. F1 near 0.7 has been published this way; without it, 0.46. Which mean "
        "a row gets is the answer, so no request could ever be filled like that.",
        end=End.FAIL,
        rows=WATER_ROWS,
        finding="leak.imputed",
        own=WATER,
        data=Data.FILLED,
        model="water",
    ),
    MergeRequest(
        number=11,
        name="tiny-holdout",
        title="Hold back a fiftieth, learn from the rest",
        tale="More cars to learn from, and seven to be judged on. The gate will not guess: a "
        "person decides, in writing, and what was decided is part of the release.",
        end=End.INCONCLUSIVE,
        rows=TINY_ROWS,
        finding="rmse.max",
        waiver="the trees passed on 110 cars last week; a larger holdout follows",
    ),
)

# No row of the data set: a car that the model has never seen. Its maker says 25 miles per gallon.
AUDI = {
    "cyl": 4,
    "dpl": 114,
    "hp": 91,
    "wght": 2448,
    "acc": 15,
    "year": 76,
    "org": 2,
    "name": "audi 100ls",
}
