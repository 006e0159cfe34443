"""The story: eight merge requests, what each does, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# The toolkit's own example: the first merge request brings its pipeline, the fifth its model.
PIPELINE = ("pipelines/fuel/pipeline.py",)
MODEL = ("pipelines/fuel/train.py", "pipelines/fuel/params.yaml")

FIRST_ROWS, ALL_ROWS = 91, 110  # held-out cars, before and after the later model years arrive
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
        rows: held-out cars that it must have been judged on, 0 where nothing is judged.
        own: files taken from this repository instead of the folder.
        data: what happens to the data set.
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
