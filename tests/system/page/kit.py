"""Trained models come in; the page goes out as a team serves it: `gitops serve`, nginx, Chromium.

Everything listens on 127.0.0.1, takes a free port and ends with its context.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.demo.samples import CARS, ROOT, WATER, read_sample, write_rows
from tests.test_fuel import load

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

CLIENT = ROOT / "kubernetes/client"
PICTURES = ROOT / "build/page"
PROGRAMS = {"nginx": "nginx-light", "chromium": "chromium", "chromedriver": "chromium-driver"}
SBIN = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--force-prefers-reduced-motion", "--lang=en-US",
    "--hide-scrollbars", "--window-size=1280,1000",
)  # fmt: skip
COMMIT = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
AUDI: dict[str, Any] = {
    "cyl": 4, "dpl": 114, "hp": 95, "wght": 2582, "acc": 15, "year": 76, "org": 2,
}  # fmt: skip
IMAGE = "<img src=x onerror=\"document.title='pwned'\">"
SCRIPT = "</option><script>document.title='pwned'</script>"
PATIENCE = 30


def find_program(name: str) -> str:
    """Return the path of a program; a machine without it fails the test, and learns the package."""
    found = shutil.which(name, path=SBIN)
    if found is None:
        pytest.fail(
            f"{name} is not installed: make test-system, or apt-get install {PROGRAMS[name]}"
        )
    return found


def take_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when something listens; fail with the log when its process ended."""
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, log.read_text("utf-8", "replace")
        time.sleep(0.05)


@contextmanager
def started(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a program that listens on a port, and end it."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for_port(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def train(model: str, sample: str, folder: Path) -> Path:
    """Train a model of this repository on all rows of its sample data; return its bundle."""
    pipeline = ROOT / "pipelines" / model
    params = yaml.safe_load((pipeline / "params.yaml").read_text("utf-8"))
    rows = [["" if cell == "?" else cell for cell in row] for row in read_sample(sample)]
    write_rows(folder / "train.csv", rows)
    load(pipeline / "train.py").train_model(folder / "train.csv", params, folder / "bundle")
    return folder / "bundle"


def train_fuel(folder: Path) -> Path:
    """Return the bundle of the fuel model."""
    return train("fuel", CARS, folder)


def train_water(folder: Path) -> Path:
    """Return the bundle of the water classifier."""
    return train("water", WATER, folder)


@contextmanager
def serving(bundle: Path, name: str, folder: Path, port: int) -> Iterator[None]:
    """Serve a bundle as version v1.2.0 of a commit."""
    identity = {"model": name, "version": "v1.2.0", "commit": COMMIT}
    (folder / "identity.json").write_text(json.dumps(identity), "utf-8")
    options = ["--name", name, "--port", str(port), "--identity", str(folder / "identity.json")]
    command = [sys.executable, "-m", "gitops", "serve", str(bundle), *options]
    with started(command, port, folder / "serve.log"):
        yield


def render_configuration(values: dict[str, str]) -> str:
    """Fill the template as envsubst does; a variable that nobody set is an error."""
    text = (CLIENT / "nginx.conf.template").read_text("utf-8")
    return re.sub(r"\$\{(PAGE_\w+)\}", lambda found: values[found[1]], text)


@contextmanager
def gateway(name: str, upstream: int, folder: Path, **others: str) -> Iterator[str]:
    """Run nginx with the page's own configuration, in which values may be others; return its address."""
    port = take_port()
    values = {
        "PAGE_LISTEN": f"127.0.0.1:{port}",
        "PAGE_ROOT": str(CLIENT),
        "PAGE_MODEL": name,
        "PAGE_UPSTREAM": f"127.0.0.1:{upstream}",
        "PAGE_UPSTREAM_HOST": "fuel.models.example",
        "PAGE_RESOLVER": "127.0.0.1",
        **others,
    }
    (folder / "nginx.conf").write_text(render_configuration(values), "utf-8")
    # Workers drop root's rights, and a checkout below /root would be closed to them.
    directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    command = [find_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with started([*command, "-g", directives], port, folder / "nginx.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def browser(folder: Path) -> Iterator[WebDriver]:
    """Run Chromium without a window, with a fresh profile and logs of console and network."""
    options = Options()
    options.binary_location = find_program("chromium")
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(find_program("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A bundle, and the port of the server that serves it."""

    bundle: Path
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page in a browser, as a person uses it; `http` asks the same origin directly."""

    driver: WebDriver
    http: httpx.Client
    folder: Path

    def open(self, *, wait: bool = True) -> Page:
        """Load the page anew; wait until its form is built."""
        self.driver.get(f"{self.http.base_url}/")
        if wait:
            self.wait_for("#fields input, #fields select")
        return self

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [each.text for each in self.find_all(selector)]

    def wait_for(self, selector: str) -> WebElement:
        """Return the first visible element of a selector, once there is one."""
        found = WebDriverWait(self.driver, PATIENCE).until(
            lambda _: next((each for each in self.find_all(selector) if each.is_displayed()), None)
        )
        assert found is not None
        return found

    def wait_for_text(self, selector: str, text: str) -> None:
        """Return once an element contains a text; fail with what it says instead."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.find(selector).text:
            assert time.monotonic() < deadline, self.find(selector).text
            time.sleep(0.05)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: object) -> Any:
        """Run a script that calls its last argument with what it found."""
        return self.driver.execute_async_script(script, *arguments)

    def field(self, title: str) -> WebElement:
        """Return the control that a label names, by the first words of the label."""
        label = next(each for each in self.find_all("#fields label") if each.text.startswith(title))
        return self.driver.find_element(By.ID, label.get_attribute("for") or "")

    def fill(self, title: str, value: str) -> WebElement:
        control = self.field(title)
        self.run("arguments[0].select()", control)
        control.send_keys(value or "\ue003")
        return control

    def predict(self) -> str:
        """Press Predict and return the exact value of the prediction that appears."""
        self.run("document.getElementById('answer').replaceChildren()")
        self.find("#predict").click()
        return self.wait_for("#prediction").get_attribute("value") or ""

    def send_file(self, name: str, content: bytes) -> None:
        """Choose a file and have it predicted; return when that has ended."""
        (self.folder / name).write_bytes(content)
        self.find("#file").send_keys(str(self.folder / name))
        self.find("#start").click()

    def download(self) -> bytes:
        """Press Download and return the bytes that arrive."""
        link = self.wait_for("#download")
        place = self.folder / "downloads"
        place.mkdir(exist_ok=True)
        behaviour = {"behavior": "allow", "downloadPath": str(place)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        file = place / (link.get_attribute("download") or "")
        file.unlink(missing_ok=True)
        link.click()
        deadline = time.monotonic() + PATIENCE
        while not file.exists():
            assert time.monotonic() < deadline, list(file.parent.iterdir())
            time.sleep(0.05)
        return file.read_bytes()

    def photograph(self, name: str, *, width: int = 1280, dark: bool = False) -> None:
        """Write a picture of the whole page to build/page/."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        with self.viewport(width):
            self.run("window.scrollTo(0, 0); document.activeElement.blur()")
            options = {"captureBeyondViewport": True, "format": "png"}
            picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / name).write_bytes(base64.b64decode(picture))

    @contextmanager
    def viewport(self, width: int, scale: float = 1) -> Iterator[None]:
        """Show the page in a window of another width, in CSS pixels."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": scale, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def console(self) -> list[str]:
        """Return what the console said since it was last asked."""
        return [each["message"] for each in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]  # as above

    def requests(self) -> list[str]:
        """Return the addresses that the page asked for since it was last asked."""
        log = self.driver.get_log("performance")  # type: ignore[no-untyped-call]  # as above
        messages = [json.loads(each["message"])["message"] for each in log]
        return [
            each["params"]["request"]["url"]
            for each in messages
            if each["method"] == "Network.requestWillBeSent"
        ]


def ask(page: Page, *rows: dict[str, Any]) -> Any:
    """Return the answer of the endpoint itself."""
    name = page.http.get("/model.json").json()["name"]
    answer = page.http.post(f"/v1/models/{name}:predict", json={"instances": list(rows)})
    assert answer.status_code == 200, answer.text
    return answer.json()
