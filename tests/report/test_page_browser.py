"""A real browser shows the two pages of `report/page.py`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leafgraft.photos.garden import SPECIES
from leafgraft.report.page import audit_page, run_report
from report_facts import facts

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., str]:
    """A headless browser on a page of a given width; returns what it wrote on standard output and error."""
    browser = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if browser is None:
        pytest.skip("no Chromium is installed")

    def call(page: str, *arguments: str, width: int = 390) -> str:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},844", "--virtual-time-budget=2000",
            *arguments, path.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        assert "CONSOLE" not in done.stderr
        return done.stdout

    return call


@pytest.mark.slow
def test_a_browser_shows_both_pages_without_complaint(browse: Callable[..., str], tmp_path: Path) -> None:
    full = facts(list(SPECIES))
    audit = audit_page("hedgerow/", ["420 photos of 10 species."], full.audit)
    for page, ids in ((run_report(full), ["result", "audit"]), (audit, ["copies", "light", "sizes"])):
        shown = browse(page, "--dump-dom")
        assert set(ids) <= set(re.findall(r'\bid="([\w-]+)"', shown))
        for width in (500, 1280):
            picture = tmp_path / "page.png"
            browse(page, f"--screenshot={picture}", width=width)
            pixels = np.asarray(Image.open(picture).convert("RGB"))
            assert pixels.shape == (844, width, 3)
            assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
