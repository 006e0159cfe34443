"""The rules of the house, held by reading the code itself."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gitops"
SOURCES = sorted((*PACKAGE.rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")))

# Layers from the core outwards: a module may import its own layer's upstream and anything before.
CORE = (
    "errors",
    "strict_yaml",
    "strict_json",
    "digest",
    "policy",
    "engines",
    "supervision",
    "schedule",
    "embedding",
    "compiled",
    "attachment",
    "placement",
    "config",
    "pointer",
    "change",
    "table",
    "run",
    "plan",
    "child",
    "gate",
    "waiver",
    "manifest",
    "release",
    "source",
    "rollout",
    "inference",
    "live",
    "canary",
    "traffic",
    "report",
    "forge",
    "forge_waiver",
    "note",
    "webhook",
    "doctor",
)
LAYERS = ("core", "serving", "adapters", "flow", "commands", "cli")
PURE_LIBRARIES = {"numpy", "yaml"}
# Who alone may import a package that reaches outside, or that weighs seconds.
OWNERS = {
    "kfp": {"gitops.adapters.kfp", "gitops.steps", "pipelines"},
    "kserve": {"gitops.serving"},
    "git": {"gitops.adapters.publish"},
    "dvc": {"gitops.adapters.dvc"},
    "jsonschema": {"gitops.adapters.documents"},
    "xgboost": {"gitops.serving", "pipelines"},
    "sklearn": {"gitops.serving", "pipelines"},
    "skops": {"gitops.serving"},
    "pandas": {"gitops.serving", "pipelines"},
    "gitlab": {"gitops.adapters.gitlab"},
    "requests": {"gitops.adapters.gitlab"},
    "kubernetes": {"gitops.adapters.kserve"},
    "fsspec": {"gitops.adapters.store"},
    "s3fs": {"gitops.adapters.store", "gitops.adapters.dvc"},
    "botocore": {"gitops.adapters.store", "gitops.adapters.dvc"},
}
FORBIDDEN_MODULES = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
# Methods of GitPython's own runner; any other attribute would be a git command.
GIT_METHODS = {"execute", "get_object_data", "custom_environment", "update_environment"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name: str) -> str:
    second = name.split(".")[1] if "." in name else "core"
    return second if second in LAYERS else "core"


def core_rank(name: str) -> int:
    return CORE.index(name.split(".")[1])


@pytest.fixture(params=SOURCES, ids=module_name)
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_a_module_says_what_comes_in_and_what_goes_out(source: Path) -> None:
    assert not source.read_text("utf-8").strip() or ast.get_docstring(parse(source))


def test_files_and_functions_stay_short(source: Path) -> None:
    assert len(source.read_text("utf-8").splitlines()) <= 350
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{source}: {node.name}"


def test_data_flows_one_way(source: Path) -> None:
    name = module_name(source)
    if not name.startswith("gitops.") or name in ("gitops.steps", "gitops.__main__", "gitops.log"):
        return
    for imported in imports(parse(source)):
        if not imported.startswith("gitops.") or imported.startswith("gitops.log"):
            continue
        assert LAYERS.index(layer(imported)) <= LAYERS.index(layer(name)) or (
            # The server's own predictor reads its documents through the documents adapter.
            layer(name) == "serving" and imported.startswith("gitops.adapters.documents")
        ), f"{name} imports {imported}"


def test_the_core_is_pure_and_imports_only_what_lies_upstream(source: Path) -> None:
    name = module_name(source)
    if layer(name) != "core" or name in ("gitops.steps", "gitops.__main__", "gitops.log"):
        return
    if not name.startswith("gitops."):
        return
    for imported in imports(parse(source)):
        top = imported.split(".")[0]
        if top == "gitops" and imported != "gitops.__version__":
            assert core_rank(imported) <= core_rank(name), f"{name} imports {imported}"
        else:
            assert top in PURE_LIBRARIES or top in sys.stdlib_module_names, imported
            assert top not in {"os", "subprocess", "socket", "shutil", "tempfile", "time", "random"}


def test_adapters_do_not_import_each_other(source: Path) -> None:
    name = module_name(source)
    if layer(name) != "adapters" or name == "gitops.adapters":
        return
    own = ".".join(name.split(".")[:3])
    for imported in imports(parse(source)):
        if imported.startswith("gitops.adapters"):
            assert imported.startswith(own), f"{name} imports {imported}"


def test_each_outside_package_has_one_importer(source: Path) -> None:
    name = module_name(source)
    for imported in imports(parse(source)):
        owners = OWNERS.get(imported.split(".")[0])
        assert owners is None or any(name.startswith(owner) for owner in owners), (
            f"{name} imports {imported}"
        )


def test_nothing_unpickles_and_nothing_opens_a_shell(source: Path) -> None:
    tree = parse(source)
    assert not {name.split(".")[0] for name in imports(tree)} & FORBIDDEN_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            assert node.arg != "shell", f"{source}:{node.value.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"system", "popen"} or not _is_os(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}, f"{source}:{node.lineno}"


def _is_os(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "os"


def test_no_git_command_is_named_by_a_value(source: Path) -> None:
    """`repo.git.<anything>(user input)` is option injection in GitPython."""
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            assert node.value.attr != "git" or node.attr in GIT_METHODS


def test_no_http_client_skips_verification(source: Path) -> None:
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "verify":
            assert not (isinstance(node.value, ast.Constant) and node.value.value is False)


def test_the_functions_are_small_on_the_whole() -> None:
    sizes = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert sizes[len(sizes) // 2] < 8


def test_manifests_are_never_a_package() -> None:
    """A `kubernetes/__init__.py` would shadow the client that kfp imports."""
    assert not list((ROOT / "kubernetes").rglob("*.py"))


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from gitops.cli import make_parser; make_parser(None).format_help(); "
    code += "print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {*OWNERS, "numpy", "yaml", "asyncio", "http"}
    assert not heavy & set(done.stdout.split())


def test_plan_imports_nothing_that_it_could_do_without() -> None:
    code = "import sys; import gitops.commands.plan, gitops.flow.planning, gitops.adapters.dvc; "
    code += "print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*OWNERS, "numpy"} & set(done.stdout.split())


@pytest.mark.parametrize(
    "place", list(resources.files("gitops.schemas").iterdir()), ids=lambda place: place.name
)
def test_every_shipped_schema_is_a_schema(place: Path) -> None:
    from jsonschema import Draft202012Validator

    if place.name.endswith(".json"):
        Draft202012Validator.check_schema(json.loads(place.read_text("utf-8")))


def test_no_lock_file_names_a_host() -> None:
    for path in (ROOT / "requirements.lock", ROOT / "ci" / "bootstrap.lock"):
        text = path.read_text("utf-8")
        assert not re.search(r"https?://|--index-url|--find-links", text)
        assert text.count("--hash=sha256:") > 0
