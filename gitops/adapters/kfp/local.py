"""A pipeline named by file and function comes in; it is run by `kfp.local`, or compiled, and its outputs go out.

The only importer of kfp beside `steps`. It runs as a process of its own, `python -m
gitops.adapters.kfp REQUEST`, because a team's pipeline code is imported here: its environment, its
working folder and its output stay apart from the caller's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def import_kfp() -> Any:
    """Import kfp without its client for remote clusters, which takes a second and is not needed here."""
    before = os.environ.get("_KFP_RUNTIME")
    os.environ["_KFP_RUNTIME"] = "true"
    try:
        import kfp
    finally:
        os.environ.pop("_KFP_RUNTIME")
        if before is not None:
            os.environ["_KFP_RUNTIME"] = before
    return kfp


def load_function(root: Path, file: str, function: str) -> Any:
    """Import `file` below `root` and return what it calls `function`; ImportError says what lacks."""
    path = root / file
    module = _load_module(path, root)
    if not hasattr(module, function):
        raise ImportError(f"{file} has no {function!r}")
    return getattr(module, function)


def _load_module(path: Path, root: Path) -> ModuleType:
    name = "gitops_loaded_" + "_".join(path.with_suffix("").relative_to(root).parts)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"{path.relative_to(root)} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def make_pipeline(request: dict[str, Any]) -> Any:
    """Compose the pipeline that a request names.

    A request has `train` and `experimental` ({root, file, function}) for an experiment, and
    `production` besides for a production run; without `train` the stored result is recalled. With
    `produce` it is the one step that a schedule starts.
    """
    import_kfp()
    if request.get("produce"):
        from gitops.steps import produce

        return produce
    if request.get("train"):
        train = load_function(**_named(request["train"]))
        experiment = load_function(**_named(request["experimental"]))(train)
    else:
        from gitops.steps import recall as experiment
    if not request.get("production"):
        return experiment
    return load_function(**_named(request["production"]))(experiment)


def _named(place: dict[str, str]) -> dict[str, Any]:
    return {**place, "root": Path(place["root"])}


def run_local(request: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline of a request in subprocesses of this machine; return its outputs by name.

    An artifact is returned as its path. Raises RuntimeError, naming the task, when one fails.
    """
    pipeline = make_pipeline(request)
    from kfp import local

    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=request["pipeline_root"],
        raise_on_error=True,
    )
    outputs = pipeline(**request["arguments"]).outputs
    return {name: getattr(value, "path", value) for name, value in outputs.items()}


def compile_pipeline(request: dict[str, Any], output: Path) -> None:
    """Write the compiled pipeline of a request as YAML."""
    from gitops.adapters.kfp.compilation import write_compiled

    write_compiled(make_pipeline(request), output)


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline of a request; or, with `compile`, only write it to that path as YAML."""
    if "compile" not in request:
        return run_local(request)
    compile_pipeline(request, Path(request["compile"]))
    return {"compiled": request["compile"]}


def main(path: str) -> int:
    """Run the request in a file; write `{"outputs"}` or `{"error"}` beside it; return an exit code."""
    request = json.loads(Path(path).read_text("utf-8"))
    try:
        result: dict[str, Any] = {"outputs": answer_request(request)}
    except Exception as error:  # noqa: BLE001  # a team's code may raise anything; the caller reports it
        import traceback

        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    Path(request["result"]).write_text(json.dumps(result), "utf-8")
    return 0 if "outputs" in result else 1
