"""What a run writes down of its classifier is so of the files that it leaves."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from conftest import SPECIES, content, rows
from leafgraft import PlantClassifierTransferLearning, run
from leafgraft.bundle import Bundle, Calibration, stacked
from leafgraft.evaluation import Evaluated, evaluated
from leafgraft.gathering import Gathered
from leafgraft.machine import Clock
from leafgraft.photos.dataset import Dataset
from leafgraft.recipes import QUICK
from leafgraft.records import record_of
from leafgraft.verdict.calibration import temperature, tempered
from leafgraft.verdict.metrics import score


def sections(page: Path) -> list[str]:
    return re.findall(r'<section id="(\w+)"', page.read_text(encoding="utf-8"))


def side(trained: run.Trained, name: str) -> Dataset:
    data = {"val": trained.found.val, "test": trained.found.test}[name]
    assert data is not None
    return data


def test_the_metrics_hold_both_sides_and_the_cost(trained_run: Path, trained: run.Trained) -> None:
    metrics = content(trained_run / "metrics.json")
    assert metrics == trained.metrics
    assert set(metrics) == {"test", "val", "calibration", "unknown", "seconds", "peak_rss_mb"}
    for side in ("test", "val"):
        figures = metrics[side]
        assert {"accuracy", "accuracy_ci95", "macro_f1", "top3", "ece", "n"} <= set(figures)
        assert figures["n"] == 6
        low, high = figures["accuracy_ci95"]
        assert 0 <= low <= figures["accuracy"] <= high <= 1
    assert {"scan", "frozen", "fine", "evaluate", "save", "total"} <= set(metrics["seconds"])
    assert sum(metrics["seconds"].values()) - metrics["seconds"]["total"] <= metrics["seconds"]["total"]
    assert metrics["peak_rss_mb"] > 100


def test_the_predictions_are_those_that_the_metrics_count(trained_run: Path, trained: run.Trained) -> None:
    lines = rows(trained_run / "predictions.csv")
    assert list(lines[0]) == ["path", "label", "predicted", "probability", "split"]
    held_out = {photo.path.as_posix(): photo for photo in trained.found.photos if photo.split in ("val", "test")}
    assert {line["path"]: (line["label"], line["split"]) for line in lines} == {
        path: (photo.label, photo.split) for path, photo in held_out.items()
    }
    for side in ("test", "val"):
        right = [line["predicted"] == line["label"] for line in lines if line["split"] == side]
        assert sum(right) / len(right) == pytest.approx(trained.metrics[side]["accuracy"])
    assert all(1 / len(SPECIES) <= float(line["probability"]) <= 1 for line in lines)


@pytest.mark.parametrize("name", ["test", "val"])
def test_the_figures_are_those_of_the_saved_classifier(trained: run.Trained, trained_run: Path, name: str) -> None:
    data, saved = side(trained, name), Bundle(trained_run, batch=8)
    shares, features = stacked(saved.raw(data.canvas(i) for i in range(len(data))), len(SPECIES))
    answers = saved.judged(shares, features)
    figures = score(data.labels, answers.probabilities, groups=data.groups)
    for figure, value in trained.metrics[name].items():
        assert figures[figure] == pytest.approx(value, abs=1e-5), figure
    calibration = trained.metrics["calibration"]
    assert (calibration["temperature"], calibration["photos"]) == (saved.calibration.temperature, 6)
    before = score(data.labels, shares)
    expected = {"ece_before": before["ece"], "ece_after": figures["ece"],
                "log_loss_before": before["log_loss"], "log_loss_after": figures["log_loss"]}  # fmt: skip
    assert calibration[name] == pytest.approx(expected, abs=1e-5)
    unknown = trained.metrics["unknown"]
    assert saved.calibration.strangers is not None
    assert unknown["threshold"] == saved.calibration.strangers.threshold
    assert unknown[f"accepted_{name}"] == pytest.approx(1 - answers.unknown.mean())


def test_the_bank_leads_to_the_same_answers(trained: run.Trained) -> None:
    answers = tempered(trained.classifier.judge(side(trained, "test")), trained.metrics["calibration"]["temperature"])
    assert trained.answers is not None
    np.testing.assert_allclose(answers, trained.answers, atol=0.02)  # what is in the bank has half precision


def test_calibration_saw_the_validation_photos_alone(trained: run.Trained, trained_run: Path) -> None:
    val, saved = side(trained, "val"), Bundle(trained_run, batch=8)
    shares, _ = stacked(saved.raw(val.canvas(i) for i in range(len(val))), len(SPECIES))
    assert saved.calibration.temperature == pytest.approx(temperature(val.labels, shares), rel=1e-3)
    assert trained.metrics["unknown"]["accepted_val"] >= 0.95


def test_what_is_known_are_the_photos_that_were_trained_on(trained: run.Trained, trained_run: Path) -> None:
    known = Bundle(trained_run).known
    assert known.paths == tuple(str(path) for path in trained.found.train.source)
    np.testing.assert_array_equal(known.labels, trained.found.train.labels)
    canvases = [trained.found.train.canvas(i) for i in range(len(known.labels))]
    np.testing.assert_array_equal(Bundle(trained_run).answer(canvases).nearest[:, 0], np.arange(len(canvases)))


def test_the_report_has_a_section_for_all_that_was_found(trained: run.Trained, trained_run: Path) -> None:
    named = trained.answers.argmax(axis=1) if trained.answers is not None else np.zeros(0)
    mistaken = ["mistakes"] if (named != side(trained, "test").labels).any() else []
    assert sections(trained_run / "report.html") == [
        "result", "curves", "calibration", "confusion", "species", *mistaken, "strangers", "audit", "record", "time"
    ]  # fmt: skip
    text = (trained_run / "report.html").read_text(encoding="utf-8")
    assert "on 6 held-out photos" in text
    assert "drawings made by the program" in text


def test_the_card_states_the_figures(trained: run.Trained, trained_run: Path) -> None:
    text = (trained_run / "model" / "card.md").read_text(encoding="utf-8")
    assert f"Accuracy {100 * trained.metrics['test']['accuracy']:.1f} % (95 % interval" in text
    assert f"by a temperature of {trained.metrics['calibration']['temperature']:.2f}, found on 6 validation" in text
    assert f"accepts {100 * trained.metrics['unknown']['accepted_test']:.0f} % of held-out photos" in text
    assert "No photo was held out" not in text


@pytest.fixture(scope="module")
def alone(trained: run.Trained) -> Gathered:
    """Photos to train on, and no others."""
    photos = [photo for photo in trained.found.photos if photo.split == "train"]
    return Gathered(photos, trained.found.classes, trained.found.train, None, None)


@pytest.fixture(scope="module")
def bare_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bare")


@pytest.fixture(scope="module")
def bare(alone: Gathered, garden: Path, settings: run.Settings, weights: Path, bank: Path, bare_run: Path) -> Evaluated:
    """What can be said of a probe of which nothing was held out."""
    classifier = PlantClassifierTransferLearning(len(SPECIES), weights=weights, bank=bank)
    classifier.fit(alone.train, recipe=QUICK, verbose=0)
    record = record_of(garden, dataclasses.replace(settings, recipe=QUICK), alone)
    return evaluated(classifier, alone, record, bare_run, Clock(), audit=None, folds=None, progress=None)


def test_where_nothing_was_held_out_nothing_is_claimed(bare: Evaluated, bare_run: Path) -> None:
    assert content(bare_run / "metrics.json") == bare.metrics
    assert set(bare.metrics) == {"seconds", "peak_rss_mb"}
    assert bare.answers is None
    assert rows(bare_run / "predictions.csv") == []
    assert {path.name for path in bare_run.iterdir()} == {
        "curves.png", "metrics.json", "model", "predictions.csv", "report.html"
    }  # fmt: skip
    assert sections(bare_run / "report.html") == ["result", "curves", "record", "time"]
    words = "nothing is known of how good this classifier is"
    assert words in (bare_run / "report.html").read_text(encoding="utf-8")
    card = (bare_run / "model" / "card.md").read_text(encoding="utf-8")
    assert words in card
    assert "even for a stranger" in card


def test_where_nothing_was_held_out_the_probabilities_stay_as_they_are(
    bare: Evaluated, bare_run: Path, trained: run.Trained
) -> None:
    saved = Bundle(bare_run, batch=8)
    assert saved.calibration == Calibration()
    test = side(trained, "test")
    answers = saved.answer(test.canvas(i) for i in range(len(test)))
    assert not answers.unknown.any()
    assert (answers.probabilities.argmax(axis=1) == test.labels).mean() > 0.6
