"""What every test shares: property tests are not timed, for the machine may be busy; `--cluster` names a real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the contract tests run against a real cluster instead of the fakes."""
    parser.addoption(
        "--cluster",
        metavar="KUBECONFIG",
        type=Path,
        help="run test_kubeflow.py and test_kserve_contract.py there instead of against fakes",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the slow tests first: with several workers nothing long is left for the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
