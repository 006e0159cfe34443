"""Requests come in on standard input, one JSON object a line; each is answered with one line.

It is a process of its own, so that it loads its libraries while others train, and takes nobody with
it when a model brings it down. A request is ``{"kind", "bundle", "holdout", "target", "key"}``. The
kind `score` is answered with scores, `inspect` with an inspection, and what is wrong with a request
is said by ``{"error": {"what", "where", "hint"}}``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

from gitops.adapters.documents import parse_json
from gitops.errors import GitopsError, InputError
from gitops.run import inspection_to_json, scores_to_json
from gitops.serving.inspection import inspect_bundle
from gitops.serving.scoring import score_holdout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WANTED = {"kind", "bundle", "holdout", "target", "key"}
# What the first request would otherwise wait for.
_WARM = ("numpy", "pandas", "sklearn.pipeline", "skops.io", "xgboost", "jsonschema")


def answer_line(line: str) -> dict[str, Any]:
    """Answer one request, or say what is wrong with it."""
    try:
        request = parse_json(line, "request")
        if not isinstance(request, dict) or set(request) != _WANTED:
            raise InputError(f"a request is an object of {', '.join(sorted(_WANTED))}")
        return _answer(request)
    except GitopsError as error:
        return {"error": {"what": error.what, "where": error.where, "hint": error.hint}}


def _answer(request: Mapping[str, str]) -> dict[str, Any]:
    bundle, holdout = request["bundle"], request["holdout"]
    target, key = request["target"], request["key"]
    match request["kind"]:
        case "score":
            return scores_to_json(score_holdout(bundle, holdout, target=target, holdout_key=key))
        case "inspect":
            return inspection_to_json(inspect_bundle(bundle, holdout, target=target, split=key))
        case _:
            raise InputError("the kind of a request is `score` or `inspect`")


def _work(requests: Iterable[str], answers: TextIO) -> None:
    for line in requests:
        if line.strip():
            answers.write(json.dumps(answer_line(line), allow_nan=False) + "\n")
            answers.flush()


def _warm_up() -> None:
    for name in _WARM:
        importlib.import_module(name)


def main() -> int:
    """Serve standard input until it ends; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=_warm_up, daemon=True).start()
    _work(sys.stdin, answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
