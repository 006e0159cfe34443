"""Requests to the webhook receiver, as GitLab and others send them."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping

from gitops.flow.listening import Inbox
from gitops.webhook import make_delivery, make_secrets
from tests.fake_gitlab.stage import IID

NOW = 1_700_000_000.0
HOOK_TOKEN = "canary-hook-token-0123456789"
KEY = bytes(range(32))
SIGNING_TOKEN = "whsec_" + base64.b64encode(KEY).decode()
PROJECT = 42


def event(project: int = PROJECT, iid: int = IID, **more: object) -> bytes:
    body = {"object_kind": "merge_request", "project": {"id": project}}
    return json.dumps({**body, "object_attributes": {"iid": iid}, **more}).encode()


def make_inbox(**more: int) -> Inbox:
    secrets = make_secrets(token=HOOK_TOKEN, signing_token="")
    return Inbox(secrets, frozenset({PROJECT}), lambda: NOW, **more)


def deliver(inbox: Inbox, body: bytes, name: str = "", token: str = HOOK_TOKEN) -> int:
    headers = {"X-Gitlab-Token": token} | ({"webhook-id": name} if name else {})
    return inbox.receive(make_delivery(headers.items(), body)).status


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {"X-Gitlab-Token": HOOK_TOKEN}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def speak(port: int, *parts: bytes) -> bytes:
    """Send bytes as they are; return all that comes back."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        try:
            while block := connection.recv(4096):
                said += block
        except ConnectionError:
            pass
    return said


def poll(is_so: Callable[[], object], seconds: float = 20.0) -> bool:
    """Wait until something is so; tell whether it ever was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.02)
    return False
