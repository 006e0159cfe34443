"""Pointers from strangers: what is accepted, and what is refused in which words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import InputError
from gitops.pointer import (
    MAX_SIZE,
    POINTER_BYTES,
    Pointer,
    check_outside,
    judge_path,
    parse_lock,
    parse_pointer,
    paths_to_check,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Parsed = TypeVar("Parsed")
MD5 = "22a1a2931c8370d3aeedd7183606fd7f"
FILE = f"outs:\n- md5: {MD5}\n  size: 14445097\n  hash: md5\n  path: cars.csv\n"
FOLDER = (
    f"outs:\n- md5: {MD5}.dir\n  size: 14445097\n  nfiles: 12\n  hash: md5\n  path: 'im ages'\n"
    "  desc: photographs\nmeta:\n  owner: [ada, 1, {since: 2024-01-01}]\n"
)
PATH_FIRST = f"outs:\n- path: cars.csv\n  hash: md5\n  md5: {MD5}\n  size: 14445097\n"
LOCK = f"""schema: '2.0'
stages:
  clean:
    cmd: python clean.py
    deps:
    - path: raw.csv
      hash: md5
      md5: {MD5}
      size: 3
    outs:
    - path: out/clean.csv
      hash: md5
      md5: {MD5}
      size: 7
    - path: out/images
      hash: md5
      md5: {MD5}.dir
      size: 9
      nfiles: 2
  report:
    cmd: echo
"""


def parse(text: str | bytes, path: str = "data/cars.csv.dvc") -> Pointer:
    return parse_pointer(text.encode() if isinstance(text, str) else text, path)


def attempt(parser: Callable[[bytes, str], Parsed], content: bytes) -> Parsed | InputError:
    try:
        return parser(content, "data/cars.csv.dvc")
    except InputError as error:
        return error


def with_out(line: str) -> str:
    return FILE + f"  {line}\n"


def test_a_pointer_to_a_file_is_read_relative_to_its_folder() -> None:
    assert parse(FILE) == Pointer(
        path="data/cars.csv.dvc",
        target="data/cars.csv",
        md5=MD5,
        size=14445097,
        files=None,
        directory=False,
    )


def test_a_pointer_to_a_folder_tells_how_many_files_it_has() -> None:
    pointer = parse(FOLDER, "images.dvc")
    assert (pointer.target, pointer.files, pointer.directory) == ("im ages", 12, True)


@pytest.mark.parametrize("text", [FILE, FOLDER, PATH_FIRST, FILE.replace("\n", "\r\n")])
def test_a_file_cut_short_at_any_byte_never_points_elsewhere(text: str) -> None:
    whole = parse(text)
    for length in range(len(text)):
        cut = attempt(parse_pointer, text[:length].encode())
        assert cut == whole or (isinstance(cut, InputError) and cut.hint)


REFUSED = {
    "": "the file is empty",
    " \n\n": "the file is empty",
    "- a\n": "the file must be a mapping",
    "outs: []\n": "exactly one output",
    "outs: {}\n": "exactly one output",
    FILE + FILE[6:]: "exactly one output",
    FILE + FILE: "appears twice",
    FILE[:-1]: "cut short",
    "<<<<<<< HEAD\n" + FILE + "=======\n>>>>>>> main\n": "conflict markers",
    FILE.replace("14445097", "&x 14445097"): "anchors and aliases",
    FILE.replace("14445097", "*x"): "anchors and aliases",
    FILE.replace(MD5, f"!!str {MD5}x"): "`md5` must be 32",
    FILE.replace(MD5, f"!evil {MD5}"): "tag",
    FILE.replace(MD5, MD5.upper()): "`md5` must be 32",
    FILE.replace(MD5, "2" * 32): "`md5` must be 32",
    FILE.replace(f"md5: {MD5}", "etag: abc"): "unknown key 'etag'",
    FILE.replace("  hash: md5\n", ""): "written by DVC 2 or older",
    FILE.replace("14445097", "-1"): "`size` must be a whole number",
    FILE.replace("14445097", "yes"): "`size` must be a whole number",
    FILE.replace("14445097", "1.5"): "`size` must be a whole number",
    FILE.replace("14445097", str(MAX_SIZE + 1)): "`size` must be a whole number",
    FILE.replace(MD5, MD5 + ".dir"): "`nfiles` must be a whole number",
    with_out("nfiles: 2"): "`nfiles` belongs to a folder",
    with_out("isexec: true"): "`isexec` is not allowed",
    with_out("cache: false"): "`cache` is not allowed",
    with_out("persist: true"): "`persist` is not allowed",
    with_out("remote: mine"): "`remote` is not allowed",
    with_out("push: false"): "`push` is not allowed",
    with_out("surprise: 1"): "unknown key 'surprise'",
    FILE + "cmd: touch x\n": "`cmd` is not allowed",
    FILE + "frozen: true\n": "`frozen` is not allowed",
    FILE + "wdir: ..\n": "`wdir` would move",
    FILE + "deps:\n- path: x\n  repo:\n    url: http://127.0.0.1:1/x\n": "`deps` is not allowed",
    FILE + "%": "cut short",
    FILE.replace("cars.csv", "[[[[[[[[[[[[[[[[[[a"): "nested too deeply",
    "[" * 50_000 + "\n": "nested too deeply",
    "- " * 50_000 + "\n": "nested too deeply",
    "? " * 50_000 + "\n": "nested too deeply",
    "a: {" * 50_000 + "\n": "nested too deeply",
    FILE.replace("cars.csv", "cars\n    .csv"): "on one line",
    FILE.replace("cars.csv", ">-\n    cars\n    csv"): "on one line",
    FILE.replace("cars.csv", "cars.csv.dvc"): "names itself",
    FILE.replace("cars.csv", "12"): "`path` must be text",
    FILE.replace("cars.csv", "''"): "the path is empty",
    "#" * POINTER_BYTES + "\n": "larger than the 1,048,576 bytes",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: REFUSED[text])
def test_a_pointer_that_dvc_would_not_write_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match=r"^data/cars\.csv\.dvc: ") as refusal:
        parse(text)
    assert REFUSED[text] in refusal.value.what
    assert refusal.value.hint


@pytest.mark.parametrize(
    "content", [FILE.encode("utf-16"), b"\xff\n", b"\x00\n", FILE.encode() + b"\x07\n"]
)
def test_bytes_that_are_no_plain_text_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"not UTF-8|not valid YAML|exactly one"):
        parse(content)


ESCAPES = {
    "../../x": "leaves its folder",
    "a/../b": "leaves its folder",
    "/etc/passwd": "absolute",
    "C:/x": "absolute",
    "s3://bucket/x": "empty part",
    "./x": "empty part",
    "a//b": "empty part",
    ".git/hooks/pre-commit": "inside .git or .dvc",
    "sub/.GIT/config": "inside .git or .dvc",
    ".g\u200cit/config": "inside .git or .dvc",
    ".git./config": "inside .git or .dvc",
    ".dvc/config": "inside .git or .dvc",
    "a\\b": "backslash",
    "a\nb": "control characters",
    "a\x00b": "control characters",
    "a\x85b": "control characters",
    "x" * 256: "too long",
}


@pytest.mark.parametrize("inside", ESCAPES)
def test_a_path_that_could_leave_the_repository_is_refused(inside: str) -> None:
    with pytest.raises(InputError, match=ESCAPES[inside]):
        parse(FILE.replace("cars.csv", json.dumps(inside)))


@pytest.mark.parametrize("inside", ["-rf", "--output=x", "$(touch x)", "a b", "été", "..a", "a..b"])
def test_odd_but_harmless_names_are_accepted(inside: str) -> None:
    assert judge_path(inside) == ""


def test_a_message_shows_an_odd_path_on_one_line() -> None:
    with pytest.raises(InputError) as refusal:
        parse("", "a\n::error::.dvc")
    assert str(refusal.value).splitlines() == ["'a\\n::error::.dvc': the file is empty"]


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_the_bytes_only_an_input_error_comes_out(content: bytes) -> None:
    for parser in (parse_pointer, parse_lock):
        outcome = attempt(parser, content)
        assert not isinstance(outcome, InputError) or outcome.where == "data/cars.csv.dvc"


SHREDS = ["outs", "path", "size", MD5, "1", "\n", "  ", *"-:'{[|>#%? a", "&a ", "*a", "!t ", "---"]


@given(st.lists(st.sampled_from(SHREDS), max_size=40).map("".join))
def test_shreds_of_yaml_never_crash_the_parser(text: str) -> None:
    outcome = attempt(parse_pointer, f"{FILE[: len(text) * 2]}{text}\n".encode())
    assert isinstance(outcome, Pointer) or outcome.hint


NAMES = st.text(max_size=30).filter(lambda name: judge_path(name) == "" and name != "cars.csv.dvc")


@given(name=NAMES, size=st.integers(0, MAX_SIZE), files=st.none() | st.integers(0, 10**9))
def test_what_dvc_writes_is_read_back_and_survives_truncation(
    name: str, size: int, files: int | None
) -> None:
    md5 = MD5 if files is None else f"{MD5}.dir"
    count = {} if files is None else {"nfiles": files}
    out = {"md5": md5, "size": size, **count, "hash": "md5", "path": name}
    content = yaml.safe_dump(
        {"outs": [out]}, sort_keys=False, allow_unicode=True, width=10_000
    ).encode()
    whole = parse(content)
    assert whole == Pointer(
        path="data/cars.csv.dvc",
        target=f"data/{name}",
        md5=md5,
        size=size,
        files=files,
        directory=files is not None,
    )
    for length in range(len(content)):
        with pytest.raises(InputError):
            parse(content[:length])


def test_a_lock_gives_a_pointer_per_output_relative_to_its_folder() -> None:
    pointers = parse_lock(LOCK.encode(), "fuel/dvc.lock")
    assert [pointer.target for pointer in pointers] == ["fuel/out/clean.csv", "fuel/out/images"]
    assert [pointer.files for pointer in pointers] == [None, 2]
    assert {pointer.path for pointer in pointers} == {"fuel/dvc.lock"}


def test_a_lock_cut_short_gives_no_pointer_that_it_did_not_hold() -> None:
    whole = set(parse_lock(LOCK.encode(), "data/cars.csv.dvc"))
    for length in range(len(LOCK)):
        cut = attempt(parse_lock, LOCK[:length].encode())
        assert isinstance(cut, InputError) or set(cut) <= whole


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}\n", "schema"),
        ("schema: '2.0'\n", "`stages` must be a mapping"),
        ("schema: '2.0'\nstages: {a: 1}\n", "stage 'a' must be a mapping"),
        ("schema: '2.0'\nstages: {a: {outs: 1}}\n", "must be a list"),
        (LOCK.replace("out/images", "out/clean.csv"), "the same path"),
        (LOCK.replace("out/images", "../images"), "leaves its folder"),
    ],
)
def test_a_lock_that_dvc_would_not_write_is_refused(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_lock(text.encode(), "dvc.lock")


LINKS = {
    "data/cars.csv.dvc": "it is a symbolic link",
    "data/cars.csv": "data/cars.csv, on the way to its data, is a symbolic link",
    "data": "data, on the way to its data, is a symbolic link",
}


@pytest.mark.parametrize("link", LINKS)
def test_a_pointer_with_a_symlink_on_its_way_is_refused(link: str) -> None:
    modes = {"data": "040000", "data/cars.csv.dvc": "100644", link: "120000"}
    with pytest.raises(InputError, match=LINKS[link]):
        check_outside(parse(FILE), modes)


def test_a_pointer_into_a_submodule_is_refused() -> None:
    with pytest.raises(InputError, match="is a submodule"):
        check_outside(parse(FILE), {"data": "160000", "data/cars.csv.dvc": "100644"})


def test_a_pointer_of_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match="not in this commit"):
        check_outside(parse(FILE), {})


def test_a_pointer_among_real_folders_is_accepted() -> None:
    pointer = parse(FILE)
    assert paths_to_check(pointer) == ("data/cars.csv.dvc", "data", "data/cars.csv")
    check_outside(pointer, {"data": "040000", "data/cars.csv.dvc": "100644"})
