"""The picture shows the photo, the heat over it, the answer, and what is asked for besides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from leafgraft.report.explanation import explanation

GREEN, RED = np.full((224, 224, 3), (20, 180, 60), np.uint8), np.full((90, 50, 3), (200, 30, 20), np.uint8)
HEAT = np.eye(7, dtype=np.float32)


def read(path: Path) -> NDArray[np.uint8]:
    """The pixels of a PNG with a white edge, which nothing is cut off at."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    for edge in (pixels[:5], pixels[-5:], pixels[:, :5], pixels[:, -5:]):
        assert (edge == 255).all()
    return pixels


def share(pixels: NDArray[np.uint8], photo: NDArray[np.uint8]) -> float:
    """The part of the pixels that have the one colour of a photo."""
    return float((np.abs(pixels.astype(int) - photo[0, 0]) <= 2).all(axis=-1).mean())


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Every text of the figures that were saved, as they are saved, on one line each."""
    found: list[str] = []
    save = Figure.savefig

    def listen(figure: Figure, *arguments: object, **keywords: object) -> None:
        save(figure, *arguments, **keywords)  # type: ignore[arg-type]
        found.extend(" ".join(text.get_text().split()) for text in figure.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", listen)
    return lambda: [text for text in found if text]


def test_the_photo_its_heat_and_the_answer(tmp_path: Path, texts: Callable[[], list[str]]) -> None:
    path = tmp_path / "new" / "why.png"
    assert explanation(GREEN, HEAT, ("daisy", 0.973), path) == path
    pixels = read(path)
    assert 1200 < pixels.shape[1] < 1450
    assert 600 < pixels.shape[0] < 900
    assert 0.3 < share(pixels, GREEN) < 0.45  # the overlay has none of it
    assert {"daisy, 97.3 %", "What speaks for daisy", "nothing", "most"} <= set(texts())
    assert "most like these, from which it has learned" not in texts()


def test_another_species_is_named_with_its_own_probability(tmp_path: Path, texts: Callable[[], list[str]]) -> None:
    explanation(GREEN, HEAT, ("daisy", 0.9), tmp_path / "why.png", species=("tulip", 0.04))
    assert {"daisy, 90.0 %", "What speaks for tulip (4.0 %)"} <= set(texts())


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_neighbours_stand_in_a_row_beneath(tmp_path: Path, texts: Callable[[], list[str]], count: int) -> None:
    neighbours = [(RED, f"rose {i}") for i in range(count)]
    pixels = read(explanation(GREEN, HEAT, ("daisy", 0.9), tmp_path / "why.png", neighbours=neighbours))
    assert {"most like these, from which it has learned", *(f"rose {i}" for i in range(count))} <= set(texts())
    greens, reds = (np.argwhere((np.abs(pixels.astype(int) - photo[0, 0]) <= 2).all(axis=-1)) for photo in (GREEN, RED))
    assert greens[:, 0].max() < reds[:, 0].min()
    assert pixels.shape[1] < 1450
    columns = np.unique(reds[:, 1])
    assert np.count_nonzero(np.diff(columns) > 1) == count - 1
    assert len(columns) > 100 * count


def test_a_photo_in_which_nothing_speaks_for_it(tmp_path: Path, texts: Callable[[], list[str]]) -> None:
    read(explanation(GREEN, 0 * HEAT, ("daisy", 0.9), tmp_path / "why.png", species=("tulip", 0.0)))
    assert "Nothing in this photo does." in texts()
    assert "most" not in texts()


def test_awkward_names_are_shown_as_they_are(tmp_path: Path, texts: Callable[[], list[str]]) -> None:
    long = "Abelmoschus esculentus subsp. longissimus var. angustifolius"
    read(
        explanation(
            GREEN, HEAT, ("a $b$ _{c", 0.5), tmp_path / "why.png", species=(long, 0.5), neighbours=[(RED, "蒲公英")]
        )
    )
    assert {"a $b$ _{c, 50.0 %", "蒲公英"} <= set(texts())
    assert any(text.startswith("What speaks for Abelmoschus") and "angustifolius" in text for text in texts())
