"""A request to run a pipeline comes in; its output paths go out, with progress shown and logs kept.

The pipeline runs in a process of its own: exported sources, a clean environment, its own folder.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import gitops
from gitops import log
from gitops.config import Config, ModelConfig
from gitops.errors import InputError, OutsideError
from gitops.flow.inputs import refuse_link
from gitops.flow.workspace import Workspace
from gitops.plan import show
from gitops.run import Step

_ENGINE = "gitops.adapters.kfp"
_TAIL = 25
_MAX_SOURCE = 64 << 20

# What a team's training code may see of the environment. Tokens are not on the list: whoever needs
# one, the steps that push and deploy, runs reviewed code and gets the whole environment.
_ALLOWED = frozenset(
    (
        *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NO_COLOR"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    )
)

_STARTED = re.compile(r"Executing task '([^']+)'")
_FINISHED = re.compile(r"Task '([^']+)' finished with status ([A-Z]+)")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that code of a merge request may see."""
    return {name: value for name, value in environ.items() if name in _ALLOWED}


def export_sources(workspace: Workspace, model: ModelConfig, folder: Path) -> None:
    """Write the model's sources, exactly as the commit has them, below `folder`.

    What runs is what was fingerprinted: nothing uncommitted, nothing undeclared.
    """
    repository, commit = workspace.repository, workspace.request.head
    own_pipeline = (workspace.config.experimental or "").rpartition(":")[0]
    wanted = [model.pipeline_file, *model.sources, *filter(None, (own_pipeline,))]
    entries = repository.read_tree(commit, wanted)
    for entry in entries:
        refuse_link(entry.path, entry.mode)
    paths = [entry.path for entry in entries]
    for path, content in repository.read_files(commit, paths, limit=_MAX_SOURCE).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def read_params(workspace: Workspace, model: ModelConfig) -> dict[str, Any]:
    """Return the params of a model at the head commit, an empty mapping when it has none."""
    from gitops.strict_yaml import parse_yaml

    if model.params is None:
        return {}
    content = workspace.repository.read_file(workspace.request.head, model.params)
    value = parse_yaml(content or b"", model.params, limit=1 << 20).value
    if value is not None and not isinstance(value, dict):
        raise InputError("params must be a mapping", where=model.params)
    return value or {}


def find_composition(config: Config, name: str, exported: Path) -> dict[str, str]:
    """Return where the experimental or production composition lies: the team's own, or the toolkit's."""
    own = config.experimental if name == "experimental" else config.production
    if own is not None:
        file, _, function = own.rpartition(":")
        return {"root": str(exported), "file": file, "function": function}
    package = Path(gitops.__file__).parent
    # A wheel carries them inside the package; a checkout has them beside it.
    root = package if (package / "pipelines").is_dir() else package.parent
    return {"root": str(root), "file": f"pipelines/{name}.py", "function": f"make_{name}"}


def run_pipeline(
    request: Mapping[str, Any],
    scratch: Path,
    log_file: Path,
    *,
    environ: Mapping[str, str],
    seconds: float | None = None,
) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """Run a pipeline to its end; return its outputs by name and its steps with their seconds.

    With `seconds` it is ended after so many of them, which is an InputError.

    Raises InputError with the failing step's last lines when code of the pipeline fails, and
    OutsideError when the engine itself ended without an answer.
    """
    result, question = scratch / "result.json", scratch / "request.json"
    body = {**request, "result": str(result), "pipeline_root": str(scratch / "root")}
    question.write_text(json.dumps(body), "utf-8")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    progress = _supervise(question, scratch, log_file, environ, seconds)
    tail = _indent(progress.tail[-_TAIL:])
    if progress.is_late:
        raise InputError(f"it did not end within {seconds:g} s", where=str(log_file), hint=tail)
    if not result.exists():
        raise OutsideError(
            "the pipeline engine ended without a result", where=str(log_file), hint=tail
        )
    answer = json.loads(result.read_text("utf-8"))
    if "outputs" not in answer:
        raise InputError(
            _ESCAPES.sub("", answer["error"]) + "\n" + tail, hint=f"the whole log: {log_file}"
        )
    return answer["outputs"], tuple(progress.steps)


def _supervise(
    question: Path,
    scratch: Path,
    log_file: Path,
    environ: Mapping[str, str],
    seconds: float | None,
) -> _Progress:
    """Follow the engine to its end: keep all that it prints, show where it is."""
    with (
        _Progress() as progress,
        log_file.open("w", encoding="utf-8") as stream,
        subprocess.Popen(
            [sys.executable, "-m", _ENGINE, str(question)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=scratch,
            env=dict(environ),
            start_new_session=True,
        ) as process,
    ):
        end = threading.Timer(seconds or 0, progress.end, (process,))
        end.daemon = True
        try:
            if seconds is not None:
                end.start()
            for line in process.stdout or ():
                stream.write(line)
                progress.follow(line)
        except BaseException:
            # Interrupted: nothing that the engine started may go on alone.
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            end.cancel()
    return progress


class _Progress:
    """What is known of a pipeline from what it prints: its steps, and its last lines.

    While a step goes on in silence, a line now and then says that it does.
    """

    def __init__(self, silence: float = 30.0) -> None:
        self.steps: list[Step] = []
        self.tail: list[str] = []
        self._silence = silence
        self._timers: dict[str, log.Timer] = {}
        self.is_late = False
        self._has_failed = False
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._reassure, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()

    def end(self, process: subprocess.Popen[str]) -> None:
        """End an engine that takes too long, with all that it started."""
        self.is_late = True
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _reassure(self) -> None:
        while not self._ended.wait(self._silence):
            for name, timer in tuple(self._timers.items()):
                last = self.tail[-1].strip()[:60] if self.tail else ""
                log.say(f"    {name:<11} goes on, {timer.seconds:.0f} s so far  {last}".rstrip())

    def follow(self, line: str) -> None:
        """Take in one line of output."""
        plain = show(_ESCAPES.sub("", line).rstrip())
        if started := _STARTED.search(plain):
            self._timers[started[1]] = log.Timer()
            self.tail.clear()
        elif (finished := _FINISHED.search(plain)) and finished[1] in self._timers:
            self._finish(finished[1], finished[2].lower())
        elif plain.strip() and not self._has_failed:
            self.tail.append(plain)
            del self.tail[:-_TAIL]

    def _finish(self, name: str, status: str) -> None:
        seconds = self._timers.pop(name).seconds
        # What comes after a step's failure is the engine's own account of it.
        self._has_failed |= status != "success"
        self.steps.append(Step(name=name, action="run", reason=status, seconds=seconds))
        log.say(f"    {name:<11} {status} in {seconds:.1f} s")


def _indent(lines: list[str]) -> str:
    return "\n".join(f"    | {line}" for line in lines)
