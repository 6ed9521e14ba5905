"""The page with its service in a real browser: every way in, every answer, and for every kind of user."""

from __future__ import annotations

import base64
import csv
import io
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leafgraft import run
from leafgraft.bundle import Bundle
from leafgraft.photos import load_canvas
from page_visit import DROP, ENOUGH, Busy, Visit, served
from photos_broken import write_broken

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(trained_run: Path, folder: Path) -> Iterator[str]:
    with served(trained_run, folder, "--corrections", str(folder / "corrections.db")) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[Any]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium and its driver are not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "force-device-scale-factor=1",
        f"user-data-dir={folder / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
    chromium.set_script_timeout(ENOUGH)
    yield chromium
    chromium.quit()


@pytest.fixture
def page(chromium: Any, address: str) -> Visit:
    visit = Visit(chromium, address)
    visit.open()
    return visit


@pytest.fixture(scope="module")
def photo(trained: run.Trained) -> Path:
    """A photo that the classifier has learned from."""
    return next(Path(photo.path) for photo in trained.found.photos if photo.split == "train")


@pytest.fixture(scope="module")
def noise(folder: Path) -> Path:
    """A picture of nothing."""
    grain = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(grain).save(folder / "noise.png")
    return folder / "noise.png"


@pytest.fixture(scope="module")
def likeliest(trained_run: Path, photo: Path) -> tuple[str, float]:
    """What the classifier itself says of the photo."""
    bundle = Bundle(trained_run)
    row = bundle.answer([load_canvas(photo)]).probabilities[0]
    return bundle.classes[int(row.argmax())], float(row.max())


def test_a_photo_chosen_dropped_or_pasted_is_named(page: Visit, photo: Path, likeliest: tuple[str, float]) -> None:
    species, share = likeliest
    page.give(photo)
    titles = [page.title()]
    for way in ("drop", "paste"):
        page.chromium.refresh()
        content = base64.b64encode(photo.read_bytes()).decode()
        page.chromium.execute_script(DROP, content, "a photo.png", way)
        titles.append(page.title())
        assert page.text("#file") == "a photo.png"
    assert len(set(titles)) == 1
    name, _, shown = titles[0].rpartition(" ")
    assert name == species
    assert float(shown.removesuffix("%")) == pytest.approx(100 * share, abs=0.2)
    bars = page.all("#bars tr")
    shares = [float(bar.text.split()[-1].removesuffix("%")) for bar in bars]
    assert len(bars) == 3
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)
    lengths = [bar.find_element("css selector", ".bar").rect["width"] for bar in bars]
    whole = page.find(".track").rect["width"]
    assert lengths == pytest.approx([max(share / 100 * whole, 2) for share in shares], abs=1)
    page.until("return document.querySelectorAll('#thumbs img').length === 5")
    assert {thumb.text for thumb in page.all("#thumbs li")} >= {species}


def test_the_slider_lays_the_heat_over_the_square_that_is_seen(page: Visit, photo: Path, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    turned = Image.open(photo).convert("RGB").resize((640, 400))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, which makes it upright
    turned.save(folder / "turned.jpg", exif=exif)
    page.give(folder / "turned.jpg")
    page.title()
    frame, square = page.find("#frame").rect, page.find("#square").rect
    assert frame["height"] == pytest.approx(1.6 * frame["width"], rel=0.01)
    assert square["width"] == pytest.approx(0.875 * frame["width"], abs=1)
    assert square["height"] == pytest.approx(square["width"], abs=1)
    assert square["y"] - frame["y"] == pytest.approx((frame["height"] - square["height"]) / 2, abs=1)
    slider = page.find("#slider")
    seen = {}
    for key in (Keys.HOME, Keys.ARROW_RIGHT, Keys.END):
        slider.send_keys(key)
        seen[key] = page.pixels("#frame")
    plain, little, full = seen.values()
    middle = slice(int(frame["height"] * 0.3), int(frame["height"] * 0.7))
    changes = [np.abs(other - plain)[middle].mean() for other in (little, full)]
    assert 0.5 < changes[0] < changes[1]
    corner = full[3:20, 30:-30]
    assert np.abs(corner - corner.mean(axis=2, keepdims=True)).max() < 3  # grey, and no heat on it
    assert slider.get_attribute("value") == "100"


def test_many_photos_are_a_table_and_a_csv(page: Visit, garden: Path, noise: Path, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    broken = write_broken(folder / "broken", noise)["text.jpg"]
    hostile = folder / "=1+1,<img src=x onerror=alert(1)>.png"
    shutil.copy(noise, hostile)
    large = sparse(folder)
    photos = [*sorted((garden / "fern").iterdir()), *sorted((garden / "cactus").iterdir())]
    page.give(*photos, noise, broken, hostile, large)
    page.done()
    assert page.text("#many-title") == "20 photos"
    rows = page.all("#rows tr")
    assert [row.find_element("css selector", "th").text for row in rows][-3:] == [broken.name, hostile.name, large.name]
    assert "not an image: text" in rows[17].text
    assert "at most 20 MB are taken" in rows[19].text
    sent = page.requests("v1/predict")
    assert len(sent) >= 3  # 8, 8 and 3
    assert not page.all("#rows img[src='x']")
    page.find("#download").click()
    path = folder / "leafgraft.csv"
    for _ in range(20 * ENOUGH):
        if path.is_file():
            break
        time.sleep(0.05)
    text = path.read_bytes().decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [line["photo"] for line in lines] == [p.name for p in photos] + [
        "noise.png", "text.jpg", f"'{hostile.name}", large.name,
    ]  # fmt: skip
    for line, row in zip(lines[:16], rows, strict=False):
        assert line["species"] in row.text
        assert f"{100 * float(line['probability']):.1f}%" in row.text
    assert lines[16]["unknown"] == "true"
    assert list(lines[17].values()) == ["text.jpg", "", "", "", "not an image: text"]
    chosen = rows[3].find_element("css selector", "button")
    chosen.send_keys(Keys.ENTER)
    assert page.title().startswith(lines[3]["species"])
    assert page.text("#file") == photos[3].name
    assert not page.find("#many").is_displayed()
    page.find("#back").click()
    assert page.chromium.switch_to.active_element == chosen


def sparse(folder: Path) -> Path:
    """A file of 200 MB that takes no room."""
    path = folder / "large.jpg"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    return path


def test_a_stranger_is_called_unknown(page: Visit, noise: Path) -> None:
    page.give(noise)
    assert page.title() == "Unknown"
    nearest = page.all("#bars th")[0].text
    sentence = "This is unlike everything the classifier has learned from; the nearest species is"
    assert page.text("#verdict") == f"{sentence} {nearest}."


def test_files_that_are_no_use_are_refused_in_a_sentence(page: Visit, noise: Path, folder: Path) -> None:
    page.give(write_broken(folder / "damaged", noise)["text.jpg"])
    page.until("return document.getElementById('problem').textContent")
    assert page.text("#problem") == "text.jpg cannot be used: not an image: text"
    before = len(page.requests("v1/predict"))
    page.give(sparse(folder))
    page.until("return document.getElementById('problem').textContent.includes('200')")
    assert page.text("#problem") == "large.jpg cannot be used: it has 200 MB, and at most 20 MB are taken."
    assert len(page.requests("v1/predict")) == before
    page.give(noise)  # and the page goes on
    assert page.title() == "Unknown"
    assert page.text("#problem") == ""


def test_a_format_that_browsers_cannot_show_is_answered(page: Visit, photo: Path, folder: Path) -> None:
    Image.open(photo).convert("RGB").save(folder / "photo.tif")
    page.give(folder / "photo.tif")
    page.title()
    assert page.text("#blank").startswith("This browser cannot show pictures of this format.")
    assert len(page.all("#bars tr")) == 3
    assert not page.find("#warmth").is_displayed()


def test_a_busy_service_is_asked_again(chromium: Any, address: str, photo: Path) -> None:
    with Busy(address) as busy:
        threading.Thread(target=busy.serve_forever, kwargs={"poll_interval": 0.02}).start()
        visit = Visit(chromium, f"http://127.0.0.1:{busy.server_address[1]}/")
        visit.open()
        visit.give(photo)
        visit.until("return document.getElementById('status').textContent.startsWith('The service is busy')")
        assert visit.title()
        busy.shutdown()
    assert busy.posts == 3


def test_a_token_is_asked_for_once(chromium: Any, trained_run: Path, photo: Path, folder: Path) -> None:
    with served(trained_run, folder, "--token", "rosa-canina") as address:
        visit = Visit(chromium, address)
        visit.open()
        for token in ("rosa-rugosa", "rosa-canina"):
            visit.until("return document.getElementById('door').open")
            visit.find("#token").send_keys(token)
            visit.find("#door button").click()
            visit.until("return document.getElementById('wrong').textContent || !document.getElementById('door').open")
        visit.until("return document.getElementById('limits').textContent")
        visit.give(photo)
        assert visit.title()
        visit.until("return document.querySelectorAll('#thumbs img').length === 5")
        assert not visit.find("#door").is_displayed()


def test_the_keyboard_is_enough(page: Visit, photo: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    # What the system's own dialog would do is left out.
    listen = """
    window.opened = [];
    document.addEventListener("click", (event) => {
      if (event.target.type === "file") { event.preventDefault(); window.opened.push(event.target.id); }
    }, true);
    document.querySelector("#languages button:last-child").focus();
    """
    page.chromium.execute_script(listen)
    for name, opened in (("drop", "files"), ("camera", "shot")):
        reached = page.press(Keys.TAB)
        assert reached.get_attribute("id") == name
        style = page.chromium.execute_script("return getComputedStyle(arguments[0]).outlineStyle", reached)
        assert style == "solid"  # the focus is seen
        page.press(Keys.ENTER)
        assert page.chromium.execute_script("return window.opened.pop()") == opened
    page.give(photo)
    page.title()
    slider = page.press(Keys.TAB)
    assert slider.get_attribute("id") == "slider"
    before = page.find("#heat").value_of_css_property("opacity")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert float(page.find("#heat").value_of_css_property("opacity")) == pytest.approx(float(before) + 0.1)
    name = page.press(Keys.TAB)
    assert name.get_attribute("id") == "name"
    page.press("a rose of ours", Keys.ENTER)
    page.until("return document.getElementById('thanks').textContent")
    assert page.text("#thanks") == "Thank you, it is noted: a rose of ours."
    page.press(Keys.TAB)  # the button that sends
    summary = page.press(Keys.TAB)
    assert summary.tag_name == "summary"
    page.press(Keys.ENTER)
    assert page.find("#card").is_displayed()


def test_the_card_and_its_figure_are_shown_on_demand(page: Visit, trained: run.Trained) -> None:
    test = trained.metrics["test"]
    low, high = (f"{100 * end:.1f}%" for end in test["accuracy_ci95"])
    accuracy = f"{100 * test['accuracy']:.1f}%"
    expected = f"Accuracy {accuracy} (95% interval {low} to {high}) on {test['n']} held-out photos."
    assert page.text("#accuracy") == expected
    assert not page.find("#card").is_displayed()
    page.find("summary").click()
    card = page.text("#card")
    assert "Not for any decision about safety" in card
    assert page.text("#card pre").startswith("leafgraft ")
    assert not [mark for mark in ("**", "##", "|--", "library_name") if mark in card]
    assert [cell.text for cell in page.all("#card thead th")][:2] == ["figure", "value"]
    assert {"cactus", "fern", "sunflower"} <= {cell.text for cell in page.all("#card td:first-child")}


def test_it_speaks_the_language_of_the_browser_and_the_one_chosen(page: Visit, photo: Path, noise: Path) -> None:
    assert page.find("html").get_attribute("lang") == "en"
    page.open(language="ru-RU")
    assert page.find("html").get_attribute("lang") == "ru"
    assert page.text("h1") == "Что это за растение?"
    page.give(photo, noise)
    page.done()
    assert page.text("#many-title") == "2 фотографии"
    assert "Неизвестно" in page.text("#rows")
    assert "," in page.all("#rows td")[1].text  # the decimal sign of Russian
    english, russian = page.all("#languages button")
    english.click()
    assert page.text("h1") == "What plant is this?"
    assert page.text("#many-title") == "2 photos"
    assert "Unknown" in page.text("#rows")
    assert page.text("#status") == "Done: 2 photos."
    assert (english.get_attribute("aria-pressed"), russian.get_attribute("aria-pressed")) == ("true", "false")
    page.chromium.refresh()
    page.until("return document.getElementById('limits').textContent")
    assert page.find("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("language", ["en-GB", "ru-RU"])
@pytest.mark.parametrize(("width", "dark"), [(320, False), (320, True), (1280, False), (1280, True)])
def test_it_fits_the_screen_and_axe_finds_nothing_serious(
    page: Visit, garden: Path, photo: Path, noise: Path, width: int, dark: bool, language: str
) -> None:
    page.open(width=width, height=640, dark=dark, language=language)
    background = page.find("body").value_of_css_property("background-color")
    assert background == ("rgba(18, 23, 20, 1)" if dark else "rgba(250, 251, 249, 1)")
    page.find("summary").click()
    states = [(page.too_wide(), page.faults())]
    page.give(photo)
    page.title()
    page.until("return document.querySelectorAll('#thumbs img').length === 5")
    states.append((page.too_wide(), page.faults()))
    page.give(*sorted((garden / "fern").iterdir()), noise)
    page.done()
    states.append((page.too_wide(), page.faults()))
    assert states == [(0, [])] * 3


def test_nothing_leaves_the_host_and_nothing_is_complained_of(page: Visit, photo: Path) -> None:
    page.chromium.get_log("browser")
    page.open()
    page.give(photo)
    page.title()
    page.until("return document.querySelectorAll('#thumbs img').length === 5")
    asked = page.requests()
    assert any("/v1/similar/" in name for name in asked)
    assert all(name.startswith((page.address, "blob:", "data:")) for name in asked)
    assert page.chromium.get_log("browser") == []
    with urllib.request.urlopen(page.address) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    # A picture from elsewhere is stopped, so the policy is in force.
    script = (
        "const done = arguments[0]; addEventListener('securitypolicyviolation', (event) => done(event.blockedURI));"
    )
    script += "document.getElementById('picture').src = 'http://127.0.0.1:9/elsewhere.png';"
    assert page.chromium.execute_async_script(script) == "http://127.0.0.1:9/elsewhere.png"
