"""One definition, proven: production is the experiment itself, with judge, release and rollout after it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
_ARCHIVE = re.compile(r"__KFP_EMBEDDED_ARCHIVE_B64 = '[^']*'")
_COMPILE = """
import json, sys
from pathlib import Path
from gitops.adapters.kfp.local import compile_pipeline
compile_pipeline(json.loads(sys.argv[1]), Path(sys.argv[2]))
"""


def compile_request(folder: Path, name: str, **request: Any) -> dict[str, Any]:
    """Compile in a process of its own, as the engine does; the archive's time stamps are left out."""
    import json

    output = folder / f"{name}.yaml"
    subprocess.run(
        [sys.executable, "-c", _COMPILE, json.dumps(request), str(output)], check=True, cwd=folder
    )
    body: dict[str, Any] = yaml.safe_load(_ARCHIVE.sub("ARCHIVE", output.read_text("utf-8")))
    return body


def place(file: str, function: str) -> dict[str, str]:
    return {"root": str(ROOT), "file": file, "function": function}


TRAIN = place("pipelines/fuel/pipeline.py", "train")
EXPERIMENTAL = place("pipelines/experimental.py", "make_experimental")
PRODUCTION = place("pipelines/production.py", "make_production")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The three pipelines in their compiled form."""
    folder = tmp_path_factory.mktemp("compiled")
    experiment = {"train": TRAIN, "experimental": EXPERIMENTAL}
    return {
        "experimental": compile_request(folder, "experimental", **experiment),
        "production": compile_request(folder, "production", **experiment, production=PRODUCTION),
        "recalled": compile_request(folder, "recalled", production=PRODUCTION),
    }


def executors(pipeline: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pipeline["deploymentSpec"]["executors"]
    return found


def test_production_contains_the_experiment_as_it_is(compiled: dict[str, dict[str, Any]]) -> None:
    experimental, production = compiled["experimental"], compiled["production"]
    nested = production["components"]["comp-experimental"]
    assert nested["dag"] == experimental["root"]["dag"]
    assert nested["inputDefinitions"] == experimental["root"]["inputDefinitions"]
    for name, component in experimental["components"].items():
        assert production["components"][name] == component, name
    for name, executor in executors(experimental).items():
        assert executors(production)[name] == executor, name


def test_production_adds_exactly_judge_release_and_rollout(
    compiled: dict[str, dict[str, Any]],
) -> None:
    added = set(executors(compiled["production"])) - set(executors(compiled["experimental"]))
    assert added == {"exec-judge", "exec-release", "exec-rollout"}


def test_nothing_ships_before_it_is_judged(compiled: dict[str, dict[str, Any]]) -> None:
    tasks = compiled["production"]["root"]["dag"]["tasks"]
    assert tasks["judge"]["dependentTasks"] == ["experimental"]
    assert tasks["release"]["dependentTasks"] == ["judge"]
    assert tasks["rollout"]["dependentTasks"] == ["release"]


def test_a_recalled_result_takes_the_same_way_to_production(
    compiled: dict[str, dict[str, Any]],
) -> None:
    production, recalled = (
        compiled[name]["root"]["dag"]["tasks"] for name in ("production", "recalled")
    )
    for name in ("release", "rollout"):
        assert production[name] == recalled[name]
    assert recalled["judge"]["dependentTasks"] == ["recall"]


def test_no_step_installs_anything_when_it_starts(compiled: dict[str, dict[str, Any]]) -> None:
    """The image has everything; a step that reaches for a registry is a step that can be hijacked."""
    for name, executor in executors(compiled["production"]).items():
        assert "pip install" not in " ".join(executor["container"]["command"]), name


def test_a_pipeline_that_is_not_there_is_named(tmp_path: Path) -> None:
    from gitops.adapters.kfp.local import load_function

    (tmp_path / "pipeline.py").write_text("other = 1\n")
    with pytest.raises(ImportError, match=r"pipeline.py has no 'train'"):
        load_function(tmp_path, "pipeline.py", "train")
    with pytest.raises(ImportError, match=r"absent.py is not a Python file"):
        load_function(tmp_path, "absent.py", "train")
