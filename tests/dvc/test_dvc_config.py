"""What `.dvc/config` and a folder's listing may say, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.adapters.dvc import (
    Remote,
    cache_directory,
    read_remote,
)
from gitops.adapters.dvc.listing import Entry, parse_listing
from gitops.adapters.dvc.remote import parse_config, render_config
from gitops.errors import InputError

# The remote and the cache, as configured


def test_the_default_remote_has_an_absolute_url_and_the_credentials_of_this_machine(
    tmp_path: Path,
) -> None:
    config = """
[core]
    remote = Store
['remote "store"']
    url = ../data/remote
    keyfile = key.pem
"""
    remote = read_remote(config, "['remote \"store\"']\n  password = 'a # b'\n", None, tmp_path)
    assert remote.url == str(tmp_path / "data/remote")
    assert remote.options == (("keyfile", f"{tmp_path}/.dvc/key.pem"), ("password", "a # b"))


def test_a_remote_may_extend_another(tmp_path: Path) -> None:
    config = '[remote "a"]\nurl=s3://b/x/\nprofile=p\n[\'remote "c"\']\nurl=remote://a/y\n'
    assert read_remote(config, None, "c", tmp_path) == Remote(
        name="c", url="s3://b/x/y", options=(("profile", "p"),)
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "no default DVC remote"),
        ("[core]\nremote = gone\n", "no DVC remote 'gone'"),
        ("[core]\nremote\n", "cannot be read"),
        ("url = x\n", "cannot be read"),
        ("[core]\nremote = a\nremote = b\n", "given twice"),
        ("[core]\n[core]\n", "given twice"),
        ("[core]\nremote = 'a\n", "quotes"),
        ("[core]\nremote = %(HOME)s\n", "refer to other values"),
        ('[core]\nremote=a\n[remote "a"]\nurl=s3://b\nversion_aware=True\n', "versions"),
        ("[core]\nremote=a\n['remote \"a\"']\nurl=remote://a/x\n", "refers to itself"),
    ],
)
def test_a_config_that_names_no_remote_is_refused(
    tmp_path: Path, config: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_remote(config, None, None, tmp_path)


@pytest.mark.parametrize(
    "scheme",
    ["http", "https", "webdav", "webdavs", "s3", "gs", "azure", "oss", "ssh", "gdrive", "webhdfs"],
)
def test_remotes_that_do_not_check_what_they_send_are_told_to(scheme: str) -> None:
    remote = Remote(name="x", url=f"{scheme}://host/x", options=(("verify", "false"),))
    assert parse_config(render_config(remote, None))["remote x"]["verify"] == "true"


def test_messages_show_neither_credentials_nor_signatures() -> None:
    url = "https://bot:hunter2@host/store?sig=abc"
    remote = Remote(name="store", url=url, options=(("password", "tops3cret"),))
    said = remote.redact(f"GET {url} with tops3cret") + remote.address + repr(remote)
    assert not [word for word in ("hunter2", "abc", "tops3cret") if word in said]


def test_the_cache_is_where_the_config_says(tmp_path: Path) -> None:
    assert cache_directory("", None, tmp_path) == tmp_path / ".dvc/cache"
    local = "[cache]\ndir = ../../shared\n"
    assert cache_directory("", local, tmp_path / "r") == tmp_path / "shared"


def test_a_cache_that_is_a_link_in_the_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repository/.dvc").mkdir(parents=True)
    (tmp_path / "repository/.dvc/cache").symlink_to(tmp_path)
    with pytest.raises(InputError, match="symbolic link"):
        cache_directory("", None, tmp_path / "repository")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_what_we_write_is_what_dvc_reads(value: str) -> None:
    from configobj import ConfigObj  # type: ignore[import-untyped] # DVC's own parser, untyped

    remote = Remote(name="x", url="/x", options=(("password", value),))
    try:
        text = render_config(remote, Path("/cache"))
    except InputError:
        assert "'" in value
        assert '"' in value
        return
    if "%(" not in value:
        assert ConfigObj(text.splitlines()).dict()['remote "x"']["password"] == value
        assert parse_config(text)["remote x"]["password"] == value


@settings(deadline=None)
@given(st.text())
def test_no_config_text_raises_anything_but_an_input_error(text: str) -> None:
    with suppress(InputError):
        parse_config(text)


# Listings of folders


def test_a_listing_comes_back_sorted() -> None:
    name = "0" * 32
    content = json.dumps([{"md5": name, "relpath": path} for path in ("b", "a/ü.csv")]).encode()
    entries = (Entry(path="a/ü.csv", md5=name), Entry(path="b", md5=name))
    assert parse_listing(content, "x.dvc") == entries


HOSTILE_PATHS = (
    "../x",
    "/etc/x",
    "a/../../x",
    "a//x",
    "",
    ".",
    "a/.git/hooks/pre-commit",
    ".GIT",
    "a\\x",
    "a\0x",
    "a\nx",
    "\ud800",
    "x" * 5000,
)


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_listing_with_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    content = json.dumps([{"md5": "0" * 32, "relpath": path}]).encode()
    with pytest.raises(InputError, match="not a safe path"):
        parse_listing(content, "x.dvc")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "not a list"),
        (b"[1]", "not an md5 and a relpath"),
        (b'[{"md5": "../../../../x", "relpath": "a"}]', "not an md5"),
        (b'[{"md5": "%s.dir", "relpath": "a"}]' % (b"0" * 32), "not an md5"),
        (b'[{"md5": "%s", "relpath": "a", "x": 1}]' % (b"0" * 32), "not an md5 and"),
    ],
)
def test_a_listing_of_another_form_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_listing(content, "x.dvc")


@pytest.mark.parametrize(("paths", "message"), [(("a", "a"), "twice"), (("a", "a/b"), "inside")])
def test_a_listing_that_cannot_be_laid_out_is_refused(paths: tuple[str, ...], message: str) -> None:
    content = json.dumps([{"md5": "0" * 32, "relpath": path} for path in paths]).encode()
    with pytest.raises(InputError, match=message):
        parse_listing(content, "x.dvc")


@settings(deadline=None)
@given(
    st.binary() | st.recursive(st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_no_listing_raises_anything_but_an_input_error(content: bytes) -> None:
    with suppress(InputError):
        parse_listing(content, "x.dvc")
