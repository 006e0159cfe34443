"""The folder of a run comes in as the only argument; the run's steps are executed by KFP's local runner.

Each step is a process with an environment of its own: the cluster's, and the secrets that its
executor is given. Its log goes to a file of its own. Images are not used; nothing is installed.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
REQUEST = json.loads((FOLDER / "request.json").read_text("utf-8"))
HERE = threading.local()
LOCK = threading.Lock()
SEEN: set[str] = set()


def note(task: str, **facts: Any) -> None:
    with LOCK, (FOLDER / "events.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"task": task, **facts}) + "\n")


def run_command(full_command: list[str]) -> int:
    """Run one step in its own environment; its output is the pod's log."""
    given = REQUEST["secrets"].get(HERE.executor, {})
    missing = sorted(name for name, value in given.items() if value is None)
    if missing:
        raise RuntimeError(f"CreateContainerConfigError: no secret for {', '.join(missing)}")
    with (FOLDER / "logs" / HERE.task).open("wb") as log:
        return subprocess.run(
            full_command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**REQUEST["environment"], **given, "KFP_POD_NAME": HERE.task},
            check=False,
        ).returncode


def run_task(original: Any, **arguments: Any) -> Any:
    """Note when a step starts and how it ends, around KFP's own way to run it."""
    task = arguments["task_name"]
    with LOCK:
        if task in SEEN:
            task = f"{task}-{len(SEEN)}"
        SEEN.add(task)
    component = arguments["components"][arguments["task_spec"].component_ref.name]
    HERE.task, HERE.executor = task, component.executor_label
    note(task, start=time.time())
    try:
        outputs, status = original(**arguments)
    except Exception as error:
        note(task, end=time.time(), state="FAILED", error=f"{type(error).__name__}: {error}")
        raise
    done = status.name == "SUCCESS"
    facts = {} if done else {"error": "the step's process failed"}
    note(task, end=time.time(), state="SUCCEEDED" if done else "FAILED", **facts)
    return outputs, status


def main() -> None:
    from kfp import components, local
    from kfp.local import subprocess_task_handler
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

    original = OrchestratorUtils.execute_single_task
    OrchestratorUtils.execute_single_task = lambda **arguments: run_task(original, **arguments)
    subprocess_task_handler.run_local_subprocess = run_command
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(FOLDER / "artifacts"),
        raise_on_error=True,
    )
    component = components.load_component_from_text(REQUEST["spec"])
    if component.component_spec.implementation.container is not None:
        name = component.component_spec.name
        run_alone(name, lambda: component(**REQUEST["arguments"]))
    else:
        component(**REQUEST["arguments"])


def run_alone(task: str, work: Callable[[], Any]) -> None:
    """Run a pipeline of one step, which KFP's runner takes for a step without a pipeline."""
    HERE.task, HERE.executor = task, f"exec-{task}"
    note(task, start=time.time())
    state = "FAILED"
    try:
        work()
        state = "SUCCEEDED"
    finally:
        note(task, end=time.time(), state=state)


if __name__ == "__main__":
    main()
