"""A scikit-learn model just read from a file comes in; it goes on only if its trees are sound.

scikit-learn follows the node numbers of a tree without looking where they lead, which is why skops
does not trust trees by itself: a crafted file runs no code, but could make a prediction read foreign
memory. So every tree of a file is looked through once, before the first row. Boosted trees of
scikit-learn index further arrays in ways that no check from outside covers; they stay refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gitops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

TREE = "sklearn.tree._tree.Tree"


def check_trees(model: Any, schema: object) -> None:
    """Look through the trees of a model.

    Args:
        model: what skops loaded.
        schema: the `schema.json` of its archive.

    Raises:
        InputError: there are trees anywhere but in a forest or single tree that is the model, or
            its last step, or one of them leads out of its own arrays.
    """
    stored = sum(1 for node in _walk(schema) if _builds_tree(node))
    if not stored:
        return
    members = _find_members(model.steps[-1][1] if _is_pipeline(model) else model)
    # A tree that is not found here, wherever the file hides it, was not looked through.
    if len(members) != stored:
        raise InputError(
            f"the model holds {stored} trees, and only {len(members)} of them can be checked",
            hint="use one RandomForest, ExtraTrees or DecisionTree as the last step, or XGBoost",
        )
    width = members[0].n_features_in_
    if not all(member.n_features_in_ == width and _is_sound(member, width) for member in members):
        raise InputError(
            "a tree of the model leads out of its own nodes or inputs",
            hint="the file is damaged or crafted: train it again",
        )


def _walk(node: object) -> Iterator[dict[str, Any]]:
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _builds_tree(node: dict[str, Any]) -> bool:
    kind = f"{node.get('__module__')}.{node.get('__class__')}"
    return kind == TREE or node.get("__loader__") == "TreeNode"


def _is_pipeline(model: object) -> bool:
    from sklearn.pipeline import Pipeline

    return type(model) is Pipeline


def _find_members(model: Any) -> Sequence[Any]:
    """Return the single trees of a model of a kind whose code is known; none of any other."""
    from sklearn import ensemble, tree

    single = (
        tree.DecisionTreeClassifier,
        tree.DecisionTreeRegressor,
        tree.ExtraTreeClassifier,
        tree.ExtraTreeRegressor,
    )
    forests = (
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor,
    )
    if type(model) in forests:
        # Small batches lose more to threads than they win; a server scales by processes.
        model.n_jobs = 1
        members = model.estimators_
    else:
        members = [model]
    return [each for each in members if type(each) in single]


def _is_sound(member: Any, width: int) -> bool:
    """Tell whether every node is a leaf, or leads to later nodes by one of the inputs."""
    tree = member.tree_
    shape = (tree.n_features, tree.n_outputs)
    if shape != (width, 1) or not 0 < tree.node_count <= tree.capacity:
        return False
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    here, count = np.arange(tree.node_count), tree.node_count
    inner = (left > here) & (left < count) & (right > here) & (right < count)
    known = (feature >= 0) & (feature < width)
    return bool(((left == -1) | (inner & known)).all())
