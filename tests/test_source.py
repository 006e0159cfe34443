"""A `dvc://` address names one thing in one way, and nothing but listed hosts may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import InputError, RefusedError
from gitops.source import (
    Endpoint,
    Source,
    judge_address,
    make_git_url,
    make_manifest_path,
    make_pointer_paths,
    parse_hosts,
    parse_source,
    render_source,
)

SHA = "0123456789abcdef0123456789abcdef01234567"
URI = f"dvc://gitlab.example.org/team/cars@{SHA}/data/models/fuel"

LABELS = st.from_regex("[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))
NAMES = st.from_regex("[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True)
PARTS = st.from_regex("[A-Za-z0-9_][A-Za-z0-9_.+=,~-]{0,20}", fullmatch=True).filter(
    lambda part: part.casefold().rstrip(".") != "git~1"
)
SOURCES = st.builds(
    Source,
    host=st.builds("{}{}".format, HOSTS, PORTS),
    repository=st.lists(NAMES, min_size=2, max_size=5).map("/".join),
    commit=st.from_regex("[0-9a-f]{40}", fullmatch=True),
    path=st.lists(PARTS, min_size=1, max_size=6).map("/".join),
)


def test_an_address_names_host_repository_commit_and_path() -> None:
    assert parse_source(URI) == Source(
        host="gitlab.example.org", repository="team/cars", commit=SHA, path="data/models/fuel"
    )
    nested = parse_source(f"dvc://127.0.0.1:8443/a/b/c/d@{SHA}/fuel/model.ubj")
    assert (nested.host, nested.repository) == ("127.0.0.1:8443", "a/b/c/d")


@given(SOURCES)
def test_an_address_reads_back_as_it_was_written(source: Source) -> None:
    assert parse_source(render_source(source)) == source


@given(st.one_of(st.text(max_size=200), st.text(max_size=60).map(lambda text: f"{URI}{text}")))
def test_any_other_text_is_bad_input_or_the_one_spelling_of_something(text: str) -> None:
    try:
        source = parse_source(text)
    except InputError:
        return
    assert render_source(source) == text


@given(SOURCES, st.data())
def test_an_address_with_one_character_changed_never_becomes_the_same_one(
    source: Source, data: st.DataObject
) -> None:
    uri = render_source(source)
    place = data.draw(st.integers(0, len(uri) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda char: char != uri[place]))
    try:
        changed = parse_source(uri[:place] + other + uri[place + 1 :])
    except InputError:
        return
    assert changed != source


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "dvc://",
        "s3://bucket/model",
        URI.replace("dvc:", "DVC:"),
        URI.replace(SHA, "main"),
        URI.replace(SHA, SHA[:12]),
        URI.replace(SHA, SHA.upper()),
        URI.replace(SHA, f"{SHA}0"),
        URI.replace("gitlab", "ada:secret@gitlab"),
        URI.replace("gitlab", "ada@gitlab"),
        URI.replace("gitlab.example.org", "GitLab.example.org"),
        URI.replace("gitlab.example.org", "gitlab.example.org."),
        URI.replace("gitlab.example.org", "[::1]"),
        URI.replace("gitlab.example.org", "gitlab.example.org:0"),
        URI.replace("gitlab.example.org", "gitlab.example.org:65536"),
        URI.replace("gitlab.example.org", "gitlab.example.org:"),
        URI.replace("gitlab.example.org", "gitl\u0430b.example.org"),
        URI.replace("team/cars", "cars"),
        URI.replace("team/cars", "team/../cars"),
        URI.replace("team/cars", "team/cars.git"),
        URI.replace("team/cars", "team//cars"),
        URI.replace("team/cars", "-team/cars"),
        URI.replace("team/cars", "team/cars?x=y"),
        f"{URI}/",
        f"{URI}/../../etc/passwd",
        f"{URI}/./x",
        f"{URI}/.git/config",
        f"{URI}/.DVC/config",
        f"{URI}%2e%2e",
        f"{URI}?version=1",
        f"{URI}#x",
        f"{URI}@{SHA}",
        f"{URI}\n",
        f"{URI}\x1b[31m",
        f"{URI}\\x",
        f"{URI} ",
        f"{URI}/-x",
        URI + "x" * 2048,
    ],
)
def test_an_odd_address_is_refused_and_no_password_is_shown(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_source(uri)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert "dvc://HOST/GROUP" in caught.value.hint


def test_the_nearest_pointer_tracks_a_path() -> None:
    assert make_pointer_paths("data/models/fuel") == (
        "data/models/fuel.dvc",
        "data/models.dvc",
        "data.dvc",
    )
    assert make_manifest_path("data/models/fuel.dvc") == "data/models/fuel.release.json"


def test_without_a_list_no_host_may_be_asked() -> None:
    for empty in ("", " , "):
        with pytest.raises(InputError) as caught:
            parse_hosts(empty)
        assert "GITOPS_ALLOWED_HOSTS=" in caught.value.hint


def test_a_listed_host_is_asked_over_tls_unless_it_is_said_to_have_none() -> None:
    hosts = parse_hosts("gitlab.example.org, minio.svc:9000", "minio.svc:9000", "minio.svc:9000")
    source = parse_source(URI)
    assert make_git_url(hosts.find_git(source), source) == (
        "https://gitlab.example.org/team/cars.git"
    )
    assert hosts.admit("http://minio.svc:9000/x") == Endpoint(
        scheme="http", host="minio.svc", port=9000, private=True
    )


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "gs://other-bucket",
        "https://other.example.org",
        "https://gitlab.example.org:8443",
        "https://gitlab.example.org.evil.org",
        "https://gitlab.example.org@evil.org",
        "https://evil.org#gitlab.example.org",
        "https://evil.org\\gitlab.example.org",
        "http://gitlab.example.org",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "https://gitlab.example.org/?next=x",
        "ftp://gitlab.example.org",
    ],
)
def test_a_host_that_is_not_listed_is_refused(url: str) -> None:
    with pytest.raises(RefusedError):
        parse_hosts("gitlab.example.org", "gitlab.example.org").admit(url)


@pytest.mark.parametrize("entry", ["https://gitlab.example.org", "a b", "*", "[::1]", "host:x"])
def test_a_list_of_hosts_holds_hosts_only(entry: str) -> None:
    with pytest.raises(InputError, match="GITOPS_ALLOWED_HOSTS"):
        parse_hosts(f"gitlab.example.org,{entry}")


@pytest.mark.parametrize(
    ("address", "never", "unless_private"),
    [
        ("93.184.216.34", False, False),
        ("2606:2800:220:1:248:1893:25c8:1946", False, False),
        ("10.0.0.7", False, True),
        ("192.168.1.1", False, True),
        ("172.16.9.9", False, True),
        ("100.64.0.1", False, True),
        ("127.0.0.1", False, True),
        ("127.9.9.9", False, True),
        ("::1", False, True),
        ("fd00::7", False, True),
        ("::ffff:10.0.0.7", False, True),
        ("::ffff:93.184.216.34", False, False),
        ("64:ff9b::a00:7", False, True),
        ("2002:a00:7::1", False, True),
        ("169.254.169.254", True, True),
        ("169.254.0.1", True, True),
        ("::ffff:169.254.169.254", True, True),
        ("64:ff9b::a9fe:a9fe", True, True),
        ("fd00:ec2::254", True, True),
        ("100.100.100.200", True, True),
        ("168.63.129.16", True, True),
        ("fe80::1", True, True),
        ("fe80::1%eth0", True, True),
        ("0.0.0.0", True, True),
        ("::", True, True),
        ("224.0.0.1", True, True),
        ("ff02::1", True, True),
        ("not an address", True, True),
        ("0x7f.1", True, True),
    ],
)
def test_an_address_is_judged_whatever_its_form(
    address: str, never: bool, unless_private: bool
) -> None:
    assert bool(judge_address(address, private=True)) == never
    assert bool(judge_address(address, private=False)) == unless_private
