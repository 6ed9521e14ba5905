"""Pictures are written whole, in the size they should have, and show what they were given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from leafgraft.report import plots
from leafgraft.verdict.compare import Curve

HISTORY: list[dict[str, object]] = [
    {
        "stage": "frozen" if epoch <= 2 else "fine",
        "epoch": epoch,
        "loss": 2 / epoch,
        "accuracy": 1 - 0.5 / epoch,
        "val_loss": 2.2 / epoch,
        "val_accuracy": 0.9 - 0.5 / epoch,
    }
    for epoch in range(1, 6)
]
AWKWARD = [
    "Rosa canina",
    "Abelmoschus esculentus subsp. longissimus var. angustifolius",
    "a $b$ _{c",
    "蒲公英",
    "caf\udce9",
]
BLUE, ORANGE, GREY = ((0, 114, 178), (213, 94, 0), (169, 169, 169))


def read(path: Path) -> NDArray[np.uint8]:
    """The pixels of a PNG that is no blank sheet and has a white edge, which nothing is cut off at."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.std() > 3
    for edge in (pixels[:5], pixels[-5:], pixels[:, :5], pixels[:, -5:]):
        assert (edge == 255).all()
    return pixels


def share(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    """The part of the pixels that have this colour, give or take the rounding of matplotlib's images."""
    return float((np.abs(pixels.astype(int) - colour) <= 2).all(axis=-1).mean())


def texts(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], Path]) -> list[str]:
    """Every text of the figures that `draw` saves, which are saved as ever."""
    from matplotlib.text import Text

    found: list[str] = []
    save = Figure.savefig

    def listen(figure: Figure, *arguments: object, **keywords: object) -> None:
        save(figure, *arguments, **keywords)  # type: ignore[arg-type]
        found.extend(text.get_text() for text in figure.findobj(Text))

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", listen)
        draw()
    return found


def garden(k: int) -> NDArray[np.int64]:
    matrix = np.diag(np.full(k, 9))
    matrix[0, -1] = 4
    return matrix


def test_curves_show_both_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "curves.png"
    found = texts(monkeypatch, lambda: plots.curves(HISTORY, path))
    assert found.count("head alone") == found.count("fine-tuning") == 2
    pixels = read(path)
    assert 1200 < pixels.shape[1] < 1400
    assert 550 < pixels.shape[0] < 750
    assert share(pixels, BLUE) > 0.001
    assert share(pixels, ORANGE) > 0.001


def test_curves_of_one_stage_have_no_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (HISTORY[:2], HISTORY[2:], HISTORY[:1]):
        assert "fine-tuning" not in texts(monkeypatch, lambda rows=rows: plots.curves(rows, tmp_path / "c.png"))  # type: ignore[misc]


def test_curves_do_without_validation(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if not key.startswith("val_")} for row in HISTORY]
    assert share(read(plots.curves(rows, tmp_path / "c.png")), ORANGE) == 0


def test_curves_read_the_text_of_a_csv(tmp_path: Path) -> None:
    written = [{key: str(value) for key, value in row.items()} for row in HISTORY]
    written[3]["val_loss"] = ""
    numbers: list[dict[str, object]] = [dict(row) for row in HISTORY]
    numbers[3]["val_loss"] = None
    one, other = plots.curves(written, tmp_path / "a.png"), plots.curves(numbers, tmp_path / "b.png")
    np.testing.assert_array_equal(read(one), read(other))


def test_curves_survive_a_loss_that_has_exploded(tmp_path: Path) -> None:
    read(
        plots.curves([*HISTORY[:3], HISTORY[3] | {"loss": float("nan"), "val_loss": float("inf")}], tmp_path / "c.png")
    )


def test_no_epoch_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no epoch"):
        plots.curves([], tmp_path / "c.png")


def test_a_confusion_matrix_is_blue_where_right_and_orange_where_not(tmp_path: Path) -> None:
    right = read(plots.confusion_matrix(np.diag([5, 3, 1]), ["a", "b", "c"], tmp_path / "right.png"))
    wrong = read(plots.confusion_matrix([[0, 5, 0], [0, 0, 3], [1, 0, 0]], ["a", "b", "c"], tmp_path / "wrong.png"))
    assert share(right, BLUE) > 0.1 > 0.01 > share(right, ORANGE)
    assert share(wrong, ORANGE) > 0.1 > 0.01 > share(wrong, BLUE)


def test_a_confusion_matrix_states_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = texts(
        monkeypatch, lambda: plots.confusion_matrix(garden(30), [f"species {i}" for i in range(30)], tmp_path / "c.png")
    )
    assert found.count("9") == 30
    assert found.count("4") == 1
    assert "270 of 274 photos named rightly" in found


def test_a_hundred_species_go_without_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.png"
    found = texts(monkeypatch, lambda: plots.confusion_matrix(garden(100), [f"species {i}" for i in range(100)], path))
    assert "9" not in found
    assert "species 99" in found
    pixels = read(path)
    assert 2500 < pixels.shape[0] < 4500
    assert 2500 < pixels.shape[1] < 4500


def test_a_species_without_photos_leaves_an_empty_row(tmp_path: Path) -> None:
    read(plots.confusion_matrix([[3, 0], [0, 0]], ["a", "b"], tmp_path / "c.png"))


def test_awkward_names_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    k = len(AWKWARD)
    draws: list[Callable[[], Path]] = [
        lambda: plots.confusion_matrix(garden(k), AWKWARD, tmp_path / "confusion.png"),
        lambda: plots.sample_prediction(np.zeros((9, 9, 3), np.uint8), np.full(k, 1 / k), AWKWARD, tmp_path / "s.png"),
        lambda: plots.contact_sheet(
            {name: [np.zeros((9, 9, 3), np.uint8)] for name in AWKWARD}, tmp_path / "sheet.png"
        ),
        lambda: plots.comparison([Curve(name, [1.0], [1], [0.5]) for name in AWKWARD], tmp_path / "cmp.png", "100 $ %"),
    ]
    for draw in draws:
        found = [text.replace("\n", " ") for text in texts(monkeypatch, draw)]
        assert {"Rosa canina", "a $b$ _{c", "蒲公英", "caf?"} <= set(found)
        assert any(text.startswith("Abelmoschus") and text.endswith("angustifolius") and "…" in text for text in found)


def test_a_matrix_that_does_not_fit_its_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\), not \(2, 2\)"):
        plots.confusion_matrix(np.eye(2), ["a", "b", "c"], tmp_path / "c.png")


def test_a_comparison_labels_every_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.png"
    lines = [
        Curve("scratch", [300.0, 700.0], [1, 2], [0.3, 0.456]),
        Curve("transfer", [9.0, 18.0], [1, 2], [0.9, 0.965]),
    ]
    found = texts(monkeypatch, lambda: plots.comparison(lines, path, "Transfer is better."))
    assert found.count("45.6") == found.count("96.5") == 2
    assert {"Transfer is better.", "Training time (minutes)", "scratch", "transfer"} <= set(found)
    pixels = read(path)
    assert 1200 < pixels.shape[1] < 1450


def test_a_comparison_of_nothing_is_refused(tmp_path: Path) -> None:
    for lines in ([], [Curve("a", [], [], [])]):
        with pytest.raises(ValueError, match="at least one"):
            plots.comparison(lines, tmp_path / "c.png")


def test_a_sample_shows_the_photo_and_its_best_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.png"
    photo = np.full((224, 224, 3), (10, 200, 30), np.uint8)
    shares, names = [0.05, 0.7, 0.2, 0.03, 0.01, 0.01], list("abcdef")
    found = texts(monkeypatch, lambda: plots.sample_prediction(photo, shares, names, path, top=3, truth="c"))
    assert [text for text in found if text[:1] in names and text[:1]] == ["b", "c  (the true species)", "a"]
    assert [text for text in found if text.endswith(" %")] == ["70.0 %", "20.0 %", "5.0 %"]
    pixels = read(path)
    assert share(pixels, (10, 200, 30)) > 0.25
    assert share(pixels, BLUE) > share(pixels, GREY) > 0.005


def test_a_truth_beyond_the_best_is_told_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.zeros((8, 8, 3), np.uint8)
    shares, names, path = [0.9, 0.1], ["a", "b"], tmp_path / "s.png"
    found = texts(monkeypatch, lambda: plots.sample_prediction(photo, shares, names, path, top=1, truth="b"))
    assert "True species: b" in found


def test_a_sample_needs_a_probability_for_each_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 species"):
        plots.sample_prediction(np.zeros((8, 8, 3), np.uint8), [1.0], ["a", "b"], tmp_path / "s.png")


def test_a_contact_sheet_has_a_row_for_each_species(tmp_path: Path) -> None:
    red, green = (
        np.full((height, width, 3), colour, np.uint8)
        for height, width, colour in ((50, 90, (200, 0, 0)), (300, 120, (0, 150, 0)))
    )
    pixels = read(plots.contact_sheet({"red": [red] * 4, "green": [green] * 2}, tmp_path / "sheet.png"))
    reds, greens = share(pixels, (200, 0, 0)), share(pixels, (0, 150, 0))
    assert reds == pytest.approx(2 * greens, rel=0.02)
    assert greens > 0.1
    rows_of = [np.flatnonzero((pixels == colour).all(axis=-1).any(axis=1)) for colour in ((200, 0, 0), (0, 150, 0))]
    assert rows_of[0].max() < rows_of[1].min()


def test_a_contact_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    nothing: list[dict[str, list[NDArray[np.uint8]]]] = [{}, {"a": []}]
    for images in nothing:
        with pytest.raises(ValueError, match="no picture"):
            plots.contact_sheet(images, tmp_path / "sheet.png")


def test_a_failed_picture_leaves_the_old_one_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plots.curves(HISTORY, tmp_path / "c.png")
    before = path.read_bytes()

    def half(figure: Figure, target: Path, **keywords: object) -> None:
        target.write_bytes(b"\x89PNG")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="No space"):
        plots.curves(HISTORY[:2], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_two_threads_draw_as_one(tmp_path: Path) -> None:
    alone = plots.curves(HISTORY, tmp_path / "alone.png").read_bytes()
    threads = [threading.Thread(target=plots.curves, args=(HISTORY, tmp_path / f"{number}.png")) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / f"{number}.png").read_bytes() for number in range(2)] == [alone, alone]
