"""YAML and JSON that strangers may have written, and documents that survive a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters.documents import parse_json, read_document, write_document, write_file
from gitops.errors import InputError
from gitops.strict_yaml import parse_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=10,
)
BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


@given(PLAIN)
def test_plain_yaml_comes_back_as_it_was(value: object) -> None:
    text = yaml.safe_dump({"value": value}, allow_unicode=True)
    assert parse_yaml(text.encode(), "x", limit=1 << 20).value == {"value": value}


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused_by_name(content: bytes) -> None:
    refusals = []
    try:
        parse_yaml(content, "some.yaml", limit=1 << 20)
    except InputError as error:
        refusals.append(error)
    assert all(refusal.where == "some.yaml" for refusal in refusals)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BOMB.encode(), "aliases are not allowed"),
        (b"a: 1\na: 2\n", "line 2: the key 'a' appears twice"),
        (b"a: !!python/object:os.system x", "could not determine a constructor"),
        (b"a: !mine x", "the tag '!mine' is not allowed here"),
        (b"a: .nan", "must be finite"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 49_999, "nested too deeply"),
        (b"- " * 100_000, "nested too deeply"),
        (b"{a: " * 40_000, "nested too deeply"),
        (b"a: [1, 2", "line 2: while parsing"),
        (b"x" * 2000, "larger than"),
        (b"1: a", "a key must be text"),
        (b"a: 2001-13-45", "not a valid value"),
    ],
)
def test_what_a_plain_document_never_needs_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_yaml(content, "x", limit=1000 if says == "larger than" else 1 << 20)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", '{"a": 1, "a": 2}', "{", "[" * 5000]
)
def test_json_that_hides_a_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a valid document"):
        parse_json(text, "verdict.json")


def test_a_document_is_checked_when_written_and_when_read(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "error.json"
    body = {"exit_code": 1, "what": "no", "where": "", "hint": ""}
    write_document(place, "error", body)
    assert read_document(place, "error") == body
    with pytest.raises(InputError, match="not a error document: exit_code"):
        write_document(place, "error", {**body, "exit_code": 7})
    assert json.loads(place.read_text()) == body


def test_a_missing_document_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_document(tmp_path / "plan.json", "plan")
    assert caught.value.hint == "run: gitops plan first"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "report.md"
    write_file(place, "old")
    with pytest.raises(UnicodeEncodeError):
        write_file(place, "\ud800")
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    assert place.read_text() == "old"
