"""Custom metrics are code, so only the target branch's code is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gitops.config import Zone
from gitops.errors import InputError
from gitops.flow.custom import read_custom_metrics
from gitops.flow.workspace import Request, Workspace
from tests.repositories import make_repository
from tests.test_config import MINIMAL

RULES = """\
        cost: {function: gates/cost.py:cost, direction: lower, max: 3}
        absent: {function: gates/none.py:cost, direction: lower, max: 3}
"""
COST = "def cost(y_true, y_pred):\n    return float(abs(y_true - y_pred).sum()) * {factor}\n"


def open_branch(folder: Path, *, main: str, branch: str) -> Workspace:
    """Put one version of the metric on main and another on a branch; look at the branch."""
    repository = make_repository(folder)
    config = MINIMAL + RULES
    target = repository.commit_files({"gitops.yaml": config, "gates/cost.py": main})
    head = repository.commit_files({"gates/cost.py": branch})
    request = Request(
        repository=str(folder), head=head, target=target, target_branch="main", zone=Zone.LOCAL
    )
    return Workspace(request)


def test_the_function_of_the_target_branch_decides(tmp_path: Path) -> None:
    workspace = open_branch(
        tmp_path / "work", main=COST.format(factor=1), branch=COST.format(factor=0)
    )
    found = read_custom_metrics(workspace, workspace.model("fuel").policy)
    assert found["cost"](np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 3.0


def test_a_function_that_the_target_branch_lacks_is_left_to_the_gate_to_refuse(
    tmp_path: Path,
) -> None:
    workspace = open_branch(tmp_path / "work", main=COST, branch=COST)
    found = read_custom_metrics(workspace, workspace.model("fuel").policy)
    assert "absent" not in found


def test_without_a_target_branch_no_code_is_run(tmp_path: Path) -> None:
    workspace = open_branch(tmp_path / "work", main=COST, branch="raise SystemExit(9)\n")
    policy = workspace.model("fuel").policy
    alone = Request(**{**workspace.request.to_json(), "target": ""})
    assert read_custom_metrics(Workspace(alone), policy) == {}


def test_a_metric_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    workspace = open_branch(tmp_path / "work", main="import nowhere\n", branch=COST)
    with pytest.raises(InputError, match="ModuleNotFoundError") as caught:
        read_custom_metrics(workspace, workspace.model("fuel").policy)
    assert caught.value.where.endswith(":gates/cost.py")
