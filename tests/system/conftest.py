"""A laboratory for each story, and the rule that system tests need their tools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fake_gitlab import serve_fake_gitlab
from tests.system.laboratory import Laboratory, find_runner, make_laboratory

NEEDS = "gitlab-ci-local is not installed: make test-system"


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """One project; afterwards every request was a valid one, and nothing goes on running."""
    if find_runner() is None:
        pytest.fail(NEEDS)
    with serve_fake_gitlab() as fake:
        laboratory = make_laboratory(tmp_path_factory.mktemp("laboratory"), fake)
        try:
            yield laboratory
        finally:
            laboratory.stop_servers()
        assert fake.record.complaints == []
