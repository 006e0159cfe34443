"""The files of the page hold to their own rules; what needs a browser is in tests/system/page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import yaml

from gitops.config import DEFAULT_MISSING
from gitops.serving.lane import MAX_BODY_BYTES
from gitops.serving.service import MAX_ROWS
from tests.demo.samples import ROOT
from tests.system.page import kit

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = ROOT / "kubernetes/client"
FILES = sorted(path for path in CLIENT.iterdir() if path.name != "kustomization.yaml")
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
TEMPLATE = (CLIENT / "nginx.conf.template").read_text("utf-8")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class Elements(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def elements() -> list[tuple[str, dict[str, str | None]]]:
    return Elements((CLIENT / "index.html").read_text("utf-8")).found


def number(name: str) -> int:
    text = (CLIENT / "batch.js").read_text("utf-8")
    found = re.search(rf"\b{name} = (\d+)(?: << (\d+))?", text)
    assert found is not None
    return int(found[1]) << int(found[2] or 0)


def test_nginx_sends_the_strict_policy() -> None:
    assert f'Content-Security-Policy "{POLICY}" always;' in TEMPLATE


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_an_outside_host(path: Path) -> None:
    hosts = set(re.findall(r"(?:https?:)?//([\w$.-]+\.?\w+)", path.read_text("utf-8")))
    # The name of SVG is no address; the upstream is nginx's.
    assert {host for host in hosts if "." in host} <= {"www.w3.org"}
    assert hosts <= {"www.w3.org", "$upstream"} or path.suffix == ".js"


def test_nothing_is_inline(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    for tag, attributes in elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_ids_are_unique_and_every_id_that_a_script_asks_for_is_there(
    elements: list[tuple[str, dict[str, str | None]]],
) -> None:
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    asked = {
        name
        for path in SCRIPTS
        for name in re.findall(r'find\("([\w-]+)"\)', path.read_text("utf-8"))
    }
    assert asked <= set(ids)
    assert len(asked) > 20


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_or_code_of_text(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|DOMParser"
        r"|createContextualFragment|setHTMLUnsafe|localStorage|document\.cookie)",
        text,
    )
    assert len(text.splitlines()) <= 350


def test_nginx_serves_each_file_of_the_page_and_no_other() -> None:
    found = re.search(r"location ~ \^/\((.+)\)\$ \{", TEMPLATE)
    assert found is not None
    served = {path.name for path in FILES if re.fullmatch(found[1], path.name)}
    assert served == {path.name for path in FILES} - {"nginx.conf.template"}
    imported = {
        name
        for path in SCRIPTS
        for name in re.findall(r'from "\./(\w+\.js)"', path.read_text("utf-8"))
    }
    assert imported == {path.name for path in SCRIPTS} - {"page.js"}


def test_the_template_explains_each_variable_and_needs_no_other() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", TEMPLATE))
    assert used == set(re.findall(r"^#   (PAGE_\w+)", TEMPLATE, re.MULTILINE))


def test_the_page_reads_missing_values_as_training_does() -> None:
    found = re.search(r"MISSING = (\[.*\]);", (CLIENT / "batch.js").read_text("utf-8"))
    assert found is not None
    assert tuple(json.loads(found[1])) == DEFAULT_MISSING


def test_a_chunk_is_within_the_limits_of_nginx_and_of_the_server() -> None:
    assert number("CHUNK_ROWS") <= MAX_ROWS
    limit = re.search(r"client_max_body_size (\d+)m;", TEMPLATE)
    assert limit is not None
    assert int(limit[1]) << 20 == MAX_BODY_BYTES
    assert number("CHUNK_BYTES") + MAX_ROWS < MAX_BODY_BYTES


def test_labels_name_the_columns_that_the_models_take() -> None:
    for model, words in json.loads((CLIENT / "labels.json").read_text("utf-8")).items():
        params = yaml.safe_load((ROOT / "pipelines" / model / "params.yaml").read_text("utf-8"))
        assert set(words["inputs"]) == set(params["features"])


@pytest.mark.parametrize("name", list(kit.PROGRAMS))
def test_a_system_test_without_its_program_fails_with_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(kit, "SBIN", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=f"apt-get install {kit.PROGRAMS[name]}"):
        kit.find_program(name)
