"""Requests that claim to be GitLab's: which are believed, what is read from them, and what is not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import InputError
from gitops.webhook import (
    TOLERANCE_SECONDS,
    Delivery,
    Hint,
    Memory,
    Novelty,
    Secrets,
    decide,
    make_delivery,
    make_secrets,
    parse_hint,
    sign,
    verify,
)

NOW = 1_700_000_000.0
TOKEN = "correct-horse-battery-staple"
KEY = bytes(range(32))
SIGNING_TOKEN = "whsec_" + base64.b64encode(KEY).decode()
BODY = json.dumps(
    {"object_kind": "merge_request", "project": {"id": 42}, "object_attributes": {"iid": 7}}
).encode()
SIGNED = make_secrets(token="", signing_token=SIGNING_TOKEN)
PLAIN = make_secrets(token=TOKEN, signing_token="")
BOTH = make_secrets(token=TOKEN, signing_token=SIGNING_TOKEN)


def signed(
    *, name: str = "msg-1", key: bytes = KEY, headers: Mapping[str, str] | None = None
) -> Delivery:
    """Return a delivery as GitLab signs it, with headers replaced afterwards."""
    stamp = str(int(NOW))
    own = {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": sign(key, name, stamp, BODY).decode(),
    }
    return make_delivery({**own, **(headers or {})}.items(), BODY)


def plain(token: str = TOKEN) -> Delivery:
    return make_delivery([("X-Gitlab-Token", token)], BODY)


def is_believed(delivery: Delivery, secrets: Secrets, now: float = NOW) -> bool:
    try:
        verify(delivery, secrets, now)
    except InputError:
        return False
    return True


def test_the_signature_is_that_of_the_standard() -> None:
    """Computed with another implementation, from a key of zeros."""
    import hashlib
    import hmac

    expected = hmac.new(bytes(32), b"a.1700000000.{}", hashlib.sha256).digest()
    assert sign(bytes(32), "a", "1700000000", b"{}") == b"v1," + base64.b64encode(expected)


def test_the_right_secrets_are_believed() -> None:
    assert is_believed(plain(), PLAIN)
    assert is_believed(signed(), SIGNED)
    assert is_believed(signed(headers={"X-Gitlab-Token": TOKEN}), BOTH)


def test_a_token_may_have_any_characters() -> None:
    """HTTP carries bytes; Python shows them as Latin-1."""
    secrets = make_secrets(token="pässwörter sind länger", signing_token="")
    assert is_believed(plain("pässwörter sind länger".encode().decode("latin-1")), secrets)


@pytest.mark.parametrize("token", ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udcff", "é"])
def test_a_wrong_token_is_refused(token: str) -> None:
    assert not is_believed(plain(token), PLAIN)


def test_a_missing_token_is_refused() -> None:
    assert not is_believed(make_delivery([], BODY), PLAIN)


FORGERIES: dict[str, Callable[[], Delivery]] = {
    "another key": lambda: signed(key=bytes(32)),
    "an altered body": lambda: Delivery(headers=signed().headers, body=BODY + b" "),
    "an altered id": lambda: signed(headers={"webhook-id": "msg-2"}),
    "an altered time": lambda: signed(headers={"webhook-timestamp": str(int(NOW) + 1)}),
    "no signature": lambda: signed(headers={"webhook-signature": ""}),
    "no version": lambda: signed(headers={"webhook-signature": base64.b64encode(KEY).decode()}),
    "an unknown version": lambda: signed(
        headers={"webhook-signature": signed().headers["webhook-signature"].replace("v1,", "v2,")}
    ),
    "an id that could move the dots": lambda: signed(name="msg.1"),
    "no id": lambda: signed(name=""),
    "a time that is no number": lambda: signed(headers={"webhook-timestamp": "nan"}),
    "a time with a sign": lambda: signed(headers={"webhook-timestamp": "-1700000000"}),
    "the plain token instead": plain,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_signature_is_refused(name: str) -> None:
    assert not is_believed(FORGERIES[name](), SIGNED)


@pytest.mark.parametrize("late", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1, 86_400, -86_400])
def test_a_signature_of_another_time_is_refused(late: float) -> None:
    assert not is_believed(signed(), SIGNED, NOW + late)


@pytest.mark.parametrize("late", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_clocks_may_differ_by_five_minutes(late: float) -> None:
    assert is_believed(signed(), SIGNED, NOW + late)


def test_one_good_signature_of_a_list_is_enough() -> None:
    """While a key is replaced, the old and the new one sign."""
    old, new = (signed(key=key).headers["webhook-signature"] for key in (bytes(32), KEY))
    assert is_believed(signed(headers={"webhook-signature": f"{old} {new}"}), SIGNED)
    assert is_believed(signed(headers={"webhook-signature": f"{new} {old}"}), SIGNED)
    assert not is_believed(signed(headers={"webhook-signature": f"{old} {old}"}), SIGNED)


def test_with_two_secrets_both_must_be_known() -> None:
    """Or else whoever learnt the plain token could leave the signature out."""
    assert not is_believed(plain(), BOTH)
    assert not is_believed(signed(), BOTH)


def test_a_header_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="x-gitlab-token is given twice"):
        make_delivery([("X-Gitlab-Token", "a"), ("x-gitlab-token", TOKEN)], BODY)


@pytest.mark.parametrize(
    ("token", "signing_token", "why"),
    [
        ("", "", "without a secret"),
        ("short", "", "shorter than 16"),
        ("", "whsec_", "not `whsec_` and base64"),
        ("", "whsec_???", "not `whsec_` and base64"),
        ("", "whsec_c2hvcnQ=", "shorter than 16"),
        ("", "whsec_Ã©", "not `whsec_` and base64"),
    ],
)
def test_a_secret_that_keeps_nobody_out_is_refused(
    token: str, signing_token: str, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        make_secrets(token=token, signing_token=signing_token)


def test_without_any_secret_nobody_is_believed() -> None:
    assert not is_believed(plain(""), Secrets(token=b"", signing_key=b""))


def test_secrets_are_not_shown() -> None:
    assert TOKEN not in f"{BOTH!r} {plain()!r}"
    assert repr(KEY) not in repr(BOTH)


def test_the_prefix_of_the_signing_token_may_be_left_out() -> None:
    assert make_secrets(token="", signing_token=SIGNING_TOKEN[6:]) == SIGNED


def test_an_event_names_a_merge_request_and_nothing_more() -> None:
    assert parse_hint(BODY) == Hint(project=42, iid=7)


def test_other_events_are_no_hint() -> None:
    assert parse_hint(b'{"object_kind": "push", "project": {"id": 1}}') is None
    assert parse_hint(b"[]") is None


@pytest.mark.parametrize("number", ["0", "-1", "true", "1.0", '"7"', "null", "9" * 20, "{}"])
def test_an_event_with_an_odd_number_is_refused(number: str) -> None:
    body = BODY.replace(b"42", number.encode())
    with pytest.raises(InputError, match="names no merge request"):
        parse_hint(body)


@given(st.binary() | st.text().map(str.encode))
def test_any_body_is_a_hint_or_none_or_refused(body: bytes) -> None:
    try:
        hint = parse_hint(body)
    except InputError:
        return
    assert hint is None or hint.project > 0


def test_a_deeply_nested_body_is_refused() -> None:
    with pytest.raises(InputError, match="not JSON"):
        parse_hint(b"[" * 200_000)


def test_a_delivery_is_new_once() -> None:
    memory = Memory(10)
    assert memory.look("a", NOW) is Novelty.NEW
    memory.keep("a", NOW)
    assert memory.look("a", NOW + 2 * TOLERANCE_SECONDS) is Novelty.SEEN
    assert memory.look("a", NOW + 2 * TOLERANCE_SECONDS + 1) is Novelty.NEW


def test_a_full_memory_forgets_nothing_that_could_be_sent_again() -> None:
    memory = Memory(2)
    memory.keep("a", NOW)
    memory.keep("b", NOW)
    assert memory.look("c", NOW + 1) is Novelty.FULL
    assert memory.look("a", NOW + 1) is Novelty.SEEN
    assert memory.look("c", NOW + 2 * TOLERANCE_SECONDS + 1) is Novelty.NEW


def test_a_delivery_without_a_name_is_always_new() -> None:
    memory = Memory(1)
    memory.keep("", NOW)
    assert memory.look("", NOW) is Novelty.NEW
    assert plain().id == ""
    assert make_delivery([("Idempotency-Key", "k" * 101)], b"").id == ""


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 900)), max_size=40))
def test_no_delivery_is_taken_twice_while_its_signature_is_good(
    arrivals: list[tuple[str, int]],
) -> None:
    memory, taken = Memory(3), dict[str, float]()
    for name, at in sorted(arrivals, key=lambda arrival: arrival[1]):
        if memory.look(name, at) is Novelty.NEW:
            assert at - taken.get(name, -1e9) > 2 * TOLERANCE_SECONDS
            memory.keep(name, at)
            taken[name] = at


def test_only_an_open_merge_request_with_an_unjudged_head_gets_a_pipeline() -> None:
    assert decide(is_open=True, head="a" * 40, judged={"b" * 40}).start
    assert not decide(is_open=True, head="a" * 40, judged={"a" * 40}).start
    assert not decide(is_open=False, head="a" * 40, judged=()).start
    assert not decide(is_open=True, head="", judged=()).start
