"""A place with a remote in a folder, and one with a remote that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dvc_place import Place, make_place
from tests.faulty_remote import FaultyRemote, serve_faulty_remote


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture
def server() -> Iterator[FaultyRemote]:
    with serve_faulty_remote() as running:
        yield running


@pytest.fixture
def distant(tmp_path: Path, server: FaultyRemote) -> Place:
    return make_place(tmp_path, server.url)
