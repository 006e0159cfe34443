"""A person asks a served model through the page: real server, real nginx, real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from gitops.serving.bundle import make_digest
from tests.system.page.audit import CONTRAST, UNNAMED
from tests.system.page.kit import (
    AUDI,
    COMMIT,
    IMAGE,
    SCRIPT,
    Page,
    Served,
    ask,
    gateway,
    serving,
    take_port,
)
from tests.system.page.relay import HANG, Relay

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_leaves_the_origin")]

TITLES = ("Cylinders", "Displacement", "Power", "Weight", "0 to 60", "Model year", "Origin")


def fill_in(page: Page, row: dict[str, float | None]) -> None:
    for title, value in zip(TITLES, row.values(), strict=True):
        page.fill(title, "" if value is None else str(value))


def test_the_form_is_built_from_the_signature(fuel: Page) -> None:
    fuel.open()
    inputs = fuel.http.get("/v2/models/fuel").json()["parameters"]["signature"]["inputs"]
    assert fuel.texts("#fields .hint code") == [each["name"] for each in inputs] == list(AUDI)
    assert fuel.find("#fields legend, #form legend").text == "Inputs"
    for each, control, hint in zip(
        inputs, fuel.find_all("#fields input"), fuel.texts("#fields .hint"), strict=True
    ):
        assert control.get_attribute("type") == "number"
        assert each["low"] < float(control.get_attribute("value") or "nan") < each["high"]
        assert f"{each['low']:g} to {each['high']:g}" in hint
        assert ("leave empty if not known" in hint) is each["missing"]


def test_an_audi_of_1976_gets_the_servers_own_answer_in_both_units(fuel: Page) -> None:
    fuel.open()
    fill_in(fuel, AUDI)
    mpg = float(fuel.predict())
    assert [mpg] == ask(fuel, AUDI)["predictions"]
    assert 20 < mpg < 28
    litres = float(fuel.find("#litres").get_attribute("value") or "nan")
    assert litres == pytest.approx(235.214583 / mpg, rel=1e-12)
    assert fuel.find("#announce").get_attribute("textContent") == (
        f"Prediction: {fuel.find('#prediction').text} mpg, "
        f"{fuel.find('#litres').text} litres per 100 km"
    )
    fuel.photograph("light.png")
    fuel.photograph("dark.png", dark=True)
    fuel.photograph("narrow.png", width=320)


def test_an_empty_field_is_a_missing_value_where_the_signature_allows_it(fuel: Page) -> None:
    fuel.open()
    fill_in(fuel, AUDI | {"hp": None})
    assert [float(fuel.predict())] == ask(fuel, AUDI | {"hp": None})["predictions"]


def test_the_identity_shown_is_the_servers(fuel: Page, served: Served) -> None:
    fuel.open().predict()
    model = ask(fuel, AUDI)["model"]
    assert model["bundle"] == make_digest(served.bundle)
    assert fuel.texts("#identity dd") == [
        "fuel", "v1.2.0", f"{COMMIT[:8]}\n{model['commit']}", model["bundle"],
    ]  # fmt: skip


def test_a_value_that_training_never_saw_warns_and_is_answered(fuel: Page) -> None:
    fuel.open()
    control = fuel.fill("Weight", "900")
    mpg = fuel.predict()
    warning = fuel.find(f"#{control.get_attribute('id')}-warning")
    assert warning.text.startswith("Outside what training saw (1613 to 5140)")
    assert warning.get_attribute("role") == "status"
    assert f"{control.get_attribute('id')}-warning" in (
        control.get_attribute("aria-describedby") or ""
    )
    assert float(mpg) > 0


def test_inputs_that_changed_since_are_said_to_have_changed(fuel: Page) -> None:
    fuel.open().predict()
    assert not fuel.find("#stale").is_displayed()
    fuel.fill("Weight", "2000")
    assert fuel.find("#stale").is_displayed()


def test_empty_fields_are_all_named_before_anything_is_sent(fuel: Page) -> None:
    fuel.open()
    fuel.fill("Weight", "")
    fuel.fill("Model year", "")
    fuel.find("#predict").click()
    assert len(fuel.texts("#problem li")) == 2
    assert fuel.run("return document.activeElement.id") == "problem"
    assert not [each for each in fuel.requests() if each.endswith(":predict")]


def test_a_refusal_of_the_server_is_shown_at_its_field_and_announced(fuel: Page) -> None:
    fuel.open().predict()
    control = fuel.fill("Weight", "1e39")
    fuel.find("#predict").click()
    link = fuel.wait_for("#problem a")
    assert link.text == "Weight: Must be a finite number that fits 32 bits."
    assert fuel.find("#problem").get_attribute("role") == "alert"
    assert fuel.run("return document.activeElement.id") == "problem"
    assert control.get_attribute("aria-invalid") == "true"
    assert fuel.find(f"#{control.get_attribute('id')}-error").text in link.text
    assert fuel.find_all("#prediction") == []
    link.click()
    assert fuel.run("return document.activeElement") == control
    fuel.fill("Weight", "2500")
    fuel.predict()
    assert control.get_attribute("aria-invalid") == "false"
    assert not fuel.find("#problem").is_displayed()


def test_a_classifier_shows_label_and_probabilities(water: Page) -> None:
    water.open()
    row = {
        name: None if name == "ph" else float(control.get_attribute("value") or "nan")
        for name, control in zip(
            (each["name"] for each in water.http.get("/v2/models/water").json()["inputs"]),
            water.find_all("#fields input"),
            strict=True,
        )
    }
    water.fill("Acidity", "")
    label = water.predict()
    (found,) = ask(water, row)["predictions"]
    assert label == found["label"]
    shown = [
        float(e.get_attribute("value") or "nan") for e in water.find_all("#probabilities data")
    ]
    assert shown == sorted(found["probabilities"].values(), reverse=True)
    assert "fit to drink" in (water.find("#announce").get_attribute("textContent") or "")
    assert water.find_all("#litres") == []
    water.photograph("classifier.png")


def test_markup_in_names_words_and_classes_stays_text(hostile: Page) -> None:
    hostile.open()
    assert IMAGE in hostile.texts("#fields label")
    assert hostile.texts("#fields option") == [SCRIPT, "b"]
    assert hostile.predict().startswith(IMAGE)
    assert any(IMAGE in text for text in hostile.texts("#probabilities th"))
    quoted = IMAGE.replace('"', '""')
    text = f'word,"{quoted}","{SCRIPT}"\nb,1,{SCRIPT}\nx,1,1'
    hostile.send_file("evil.csv", text.encode())
    hostile.wait_for("#batch-table")
    assert SCRIPT in hostile.texts("#batch-table td")
    assert SCRIPT in hostile.find("#batch-notes").text
    assert hostile.find_all("main img, main script") == []
    assert hostile.driver.title == "hostile · ask the model"


def test_what_is_injected_as_markup_does_not_run(fuel: Page) -> None:
    """The policy of nginx holds where the page's own care ends: a handler in place is not run."""
    fuel.open()
    node = fuel.driver.execute_cdp_cmd("DOM.getDocument", {})["root"]["nodeId"]
    lead = fuel.driver.execute_cdp_cmd("DOM.querySelector", {"nodeId": node, "selector": "#lead"})
    markup = "<img id=evil src=icon.svg onload=\"document.title='pwned'\">"
    fuel.driver.execute_cdp_cmd("DOM.setOuterHTML", {**lead, "outerHTML": markup})
    fuel.run("return document.getElementById('evil').decode()")
    with pytest.raises(Exception, match="TrustedHTML"):
        fuel.run("document.body.innerHTML = '<p>'")
    assert fuel.driver.title == "fuel · ask the model"
    assert [each for each in fuel.console() if "Content Security Policy" in each]


def press(page: Page, keys: str) -> None:
    ActionChains(page.driver).send_keys(keys).perform()


def test_everything_is_done_with_the_keyboard_alone(fuel: Page) -> None:
    fuel.open()
    order = []
    for _ in range(12):
        press(fuel, Keys.TAB)
        active = fuel.driver.switch_to.active_element
        order.append(active.get_attribute("id") or active.text)
        assert active.value_of_css_property("outline-style") != "none", order
    fields = [f"field-{number}" for number in range(7)]
    assert order == ["Skip to the form", *fields, "predict", "reset", "file", "start"]

    fuel.open()
    press(fuel, Keys.TAB)
    press(fuel, Keys.ENTER)
    for value in AUDI.values():
        press(fuel, Keys.TAB)
        press(fuel, str(value))
    press(fuel, Keys.ENTER)
    shown = fuel.wait_for("#prediction").get_attribute("value") or ""
    assert [float(shown)] == ask(fuel, AUDI)["predictions"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_and_every_control_a_name(fuel: Page, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    fuel.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    fuel.open()
    fuel.fill("Power", "999")
    fuel.predict()
    fuel.send_file(
        "cars.csv", b"cyl,dpl,hp,wght,acc,year,org\n4,114,95,2582,15,76,2\n4,x,1,1,1,1,1\n"
    )
    fuel.wait_for("#batch-table")
    assert fuel.run(CONTRAST) == []
    fuel.fill("Weight", "")
    fuel.find("#predict").click()
    fuel.wait_for("#problem")
    assert fuel.run(CONTRAST) == []
    assert fuel.run(UNNAMED) == []
    controls = [
        each for each in fuel.find_all("input, select, button, a, progress") if each.is_displayed()
    ]
    assert [each.get_attribute("outerHTML") for each in controls if not each.accessible_name] == []
    fuel.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [320, 640])
def test_narrow_and_magnified_the_page_never_scrolls_sideways(fuel: Page, width: int) -> None:
    """640 px is what 200 % zoom leaves of 1280."""
    with fuel.viewport(width):
        fuel.open().predict()
        fuel.send_file("cars.csv", b"cyl,dpl,hp,wght,acc,year,org\n4,114,95,2582,15,76,2\n")
        fuel.wait_for("#batch-table")
        assert fuel.run("return document.documentElement.scrollWidth") <= width


def test_without_a_model_the_page_says_so_and_finds_it_when_it_is_there(
    driver: WebDriver, served: Served, tmp_path: Path
) -> None:
    port = take_port()
    with gateway("fuel", port, tmp_path) as url, httpx.Client(base_url=url) as http:
        page = Page(driver=driver, http=http, folder=tmp_path).open(wait=False)
        page.wait_for_text("#loading-text", "The model is not available right now.")
        with serving(served.bundle, "fuel", tmp_path, port):
            page.find("#reload").click()
            page.wait_for("#field-0")
            page.fill("Weight", "2600")
            page.predict()
        page.find("#predict").click()
        page.wait_for_text("#problem", "The model is not available right now.")
        assert page.find_all("#prediction") == []
        assert page.field("Weight").get_attribute("value") == "2600"
        with serving(served.bundle, "fuel", tmp_path, port):
            page.find("#problem button").click()
            assert page.wait_for("#prediction").text


def test_without_a_network_the_page_says_so(fuel: Page) -> None:
    fuel.open()
    shared = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    fuel.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **shared})
    fuel.find("#predict").click()
    fuel.wait_for_text("#problem", "The server cannot be reached. Check your connection")
    fuel.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **shared})
    fuel.find("#problem button").click()
    assert fuel.wait_for("#prediction").text


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((503, "<h1>no healthy upstream</h1>"), "The model is not available right now."),
        ((500, '{"error": "the model <b>failed</b>"}'), "The model <b>failed</b>."),
        ((429, ""), "Too many requests."),
        ((200, '{"predictions": ["<b>"], "model": {}}'), "The answer is not one that this page"),
        ((200, '{"predictions": []}'), "The answer is not one that this page"),
        ((200, "<html>"), "The answer is not one that this page"),
    ],
)
def test_an_answer_that_is_none_becomes_a_plain_sentence_and_can_be_asked_again(
    relayed: Page, relay: Relay, reply: tuple[int, str], message: str
) -> None:
    relay.replies.append(reply)
    relayed.find("#predict").click()
    relayed.wait_for_text("#problem", message)
    assert relayed.find_all("#prediction") == []
    relayed.find("#problem button").click()
    assert relayed.wait_for("#prediction").text


def test_a_model_that_never_answers_is_given_up(relayed: Page, relay: Relay) -> None:
    # The page waits 65 s; its clock is turned, the rest is real.
    relayed.run(
        "const real = setTimeout; window.setTimeout = (f, ms) => real(f, ms > 6e4 ? 300 : ms)"
    )
    relay.replies.append(HANG)
    relayed.find("#predict").click()
    relayed.wait_for_text("#problem", "The model did not answer in time.")


def test_a_model_that_was_replaced_since_the_page_was_loaded_is_named(
    relayed: Page,
    relay: Relay,
) -> None:
    relay.replies.append(lambda answer: answer["model"].update(version="v2.0.0", bundle="sha256:0"))
    relayed.find("#predict").click()
    relayed.wait_for_text("#changed", "Another model answers than when this page was loaded.")
    assert relayed.texts("#identity dd")[1] == "v2.0.0"
