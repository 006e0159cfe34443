"""The models behind the page, one browser for all tests, and what must hold whatever a test does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gitops.serving.bundle import write_bundle
from tests.system.page.kit import (
    IMAGE,
    SCRIPT,
    Page,
    Served,
    browser,
    gateway,
    serving,
    take_port,
    train_fuel,
    train_water,
)
from tests.system.page.relay import Relay, relaying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver


@pytest.fixture(scope="package")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The fuel model behind `gitops serve`."""
    folder = tmp_path_factory.mktemp("fuel")
    bundle, port = train_fuel(folder), take_port()
    with serving(bundle, "fuel", folder, port):
        yield Served(bundle=bundle, port=port)


@pytest.fixture(scope="package")
def fuel(
    served: Served, driver: WebDriver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The page of the fuel model."""
    yield from visit(driver, served.port, "fuel", tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="package")
def water(driver: WebDriver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of the water classifier."""
    folder, port = tmp_path_factory.mktemp("water"), take_port()
    with serving(train_water(folder), "water", folder, port):
        yield from visit(driver, port, "water", folder)


@pytest.fixture(scope="package")
def hostile(driver: WebDriver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a model whose columns, words and classes are all markup."""
    folder, port = tmp_path_factory.mktemp("hostile"), take_port()
    inputs = pd.DataFrame({IMAGE: [1.0, 2.0, 3.0, 4.0], "word": [SCRIPT, "b", SCRIPT, "b"]})
    columns = make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(inputs, np.array([0, 0, 1, 1]))
    classes = [f"{IMAGE}0", f"{IMAGE}1"]
    bundle = folder / "bundle"
    write_bundle(bundle, model=model, inputs=inputs, target="t", task="binary", classes=classes)
    with serving(bundle, "hostile", folder, port):
        yield from visit(driver, port, "hostile", folder)


@pytest.fixture
def relay(served: Served, tmp_path: Path) -> Iterator[Relay]:
    """What stands between nginx and the fuel model, for a test to break."""
    with relaying(served.port) as found:
        yield found


@pytest.fixture
def relayed(relay: Relay, driver: WebDriver, tmp_path: Path) -> Iterator[Page]:
    """The page of the fuel model behind the relay, loaded."""
    for page in visit(driver, relay.port, "fuel", tmp_path):
        yield page.open()


def visit(driver: WebDriver, port: int, name: str, folder: Path) -> Iterator[Page]:
    with gateway(name, port, folder) as url, httpx.Client(base_url=url) as http:
        yield Page(driver=driver, http=http, folder=folder)


@pytest.fixture
def nothing_leaves_the_origin(driver: WebDriver, tmp_path: Path) -> Iterator[None]:
    """Whatever a test does: no violation, no error of a script, no request to another place."""
    page = Page(driver=driver, http=httpx.Client(), folder=tmp_path)
    page.driver.get("about:blank")
    page.console()
    page.requests()
    yield
    assert [each for each in page.console() if "Failed to load resource" not in each] == []
    own = ("http://127.0.0.1:", "blob:http://127.0.0.1:")
    assert [each for each in page.requests() if not each.startswith(own)] == []
