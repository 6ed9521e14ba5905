"""What a run found, as its report shows it; the answers of a real classifier, some of them made wrong."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import SPECIES
from leafgraft import bundle, run
from leafgraft.bundle import Draft
from leafgraft.evaluation import _metrics
from leafgraft.folds import Folds
from leafgraft.gathering import Gathered
from leafgraft.photos import Photo
from leafgraft.report.facts import MISTAKES, Measured, lead, run_facts
from leafgraft.report.page import RunFacts, run_report
from leafgraft.verdict.calibration import reliability
from leafgraft.verdict.metrics import score

FIGURES = {"accuracy": 0.5, "accuracy_ci95": [0.2, 0.8], "n": 8}


@pytest.fixture(scope="module")
def draft(trained: run.Trained, trained_run: Path) -> Draft:
    """The classifier of `trained` as it was before it was saved."""
    folder = trained_run / "model"
    return Draft(folder, trained.found.classes, bundle.known(folder), bundle.calibration(folder), 8)


def measured(trained: run.Trained, draft: Draft, name: str, *, wrong: bool = False) -> Measured:
    """What the classifier says of a side; if ``wrong``, each answer is moved to the next species."""
    data = {"val": trained.found.val, "test": trained.found.test}[name]
    assert data is not None
    shares, features = draft.seen(data)
    answers = draft.judged(np.roll(shares, 1, axis=1) if wrong else shares, features)
    return Measured(name, data, trained.found.side(name), answers.probabilities, shares, answers.unknown, features)


def facts_of(
    trained: run.Trained,
    draft: Draft,
    sides: list[Measured],
    *,
    found: Gathered | None = None,
    folds: Folds | None = None,
    garden: bool = True,
) -> RunFacts:
    metrics = _metrics(sides, draft, folds)
    return run_facts(
        draft, found or trained.found, sides, None, folds, trained.classifier.history, metrics,
        {"garden": garden}, "hedge",
    )  # fmt: skip


@pytest.fixture(scope="module")
def mistaken(trained: run.Trained, draft: Draft) -> Measured:
    """Test photos with most of their answers made wrong."""
    return measured(trained, draft, "test", wrong=True)


@pytest.fixture(scope="module")
def facts(trained: run.Trained, draft: Draft, mistaken: Measured) -> RunFacts:
    return facts_of(trained, draft, [mistaken, measured(trained, draft, "val")])


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        ("test", "on 8 held-out photos."),
        ("folds", "Each was judged by a classifier of the same recipe that had not seen it."),
        ("val", "They were looked at after each epoch, and no others were held out."),
    ],
)
def test_the_sentence_says_what_it_rests_on(basis: str, words: str) -> None:
    text = lead(FIGURES, basis)
    assert text.startswith("Accuracy 50.0 % (95 % interval 20.0-80.0 %) on 8 held-out photos.")
    assert text.endswith(words)


def test_without_photos_held_out_there_is_no_figure(trained: run.Trained, draft: Draft) -> None:
    assert "nothing is known" in lead({}, None)
    facts = facts_of(trained, draft, [])
    assert facts.sentence == lead({}, None)
    assert not facts.figures
    assert facts.matrix is None
    for empty in (facts.reliability, facts.species, facts.mistakes, facts.confused):
        assert len(empty) == 0
    assert "hedge" in run_report(facts)


def test_the_first_side_gives_the_figures(facts: RunFacts, mistaken: Measured) -> None:
    figures = score(mistaken.data.labels, mistaken.probabilities, groups=mistaken.data.groups)
    assert facts.figures == figures
    assert facts.matrix is not None
    assert facts.matrix.sum() == 6
    assert np.trace(facts.matrix) / 6 == pytest.approx(figures["accuracy"])
    assert sum(count for *_, count in facts.confused) == 6 - np.trace(facts.matrix)


def test_mistakes_are_shown_with_the_surest_first_and_their_reasons(
    facts: RunFacts, mistaken: Measured, trained: run.Trained
) -> None:
    wrong = mistaken.named != mistaken.data.labels
    assert 0 < len(facts.mistakes) == min(wrong.sum(), MISTAKES)
    probabilities = [mistake.probability for mistake in facts.mistakes]
    assert probabilities == sorted(probabilities, reverse=True)
    of_path = {photo.path.as_posix(): photo.label for photo in trained.found.photos}
    learned = {str(path) for path in trained.found.train.source}
    for mistake in facts.mistakes:
        assert mistake.label == of_path[mistake.path] != mistake.predicted
        assert mistake.heat is not None
        for picture in (mistake.photo, mistake.heat):
            with Image.open(io.BytesIO(picture)) as image:
                assert image.size == (160, 160)
        assert len(mistake.neighbours) == 5
        for neighbour in mistake.neighbours:
            assert neighbour.path in learned
            assert neighbour.label == of_path[neighbour.path]


def test_neighbours_that_are_gone_are_left_out(trained: run.Trained, draft: Draft, mistaken: Measured) -> None:
    known = draft.known
    gone = Draft.__new__(Draft)  # the same network, which need not be compiled again
    vars(gone).update(vars(draft))
    gone.known = dataclasses.replace(
        known, paths=("", *(f"{path}.gone" for path in known.paths[1:-1]), known.paths[-1])
    )
    facts = facts_of(trained, gone, [mistaken])
    shown = {neighbour.path for mistake in facts.mistakes for neighbour in mistake.neighbours}
    assert shown <= {known.paths[-1]}
    assert len(facts.mistakes) == (mistaken.named != mistaken.data.labels).sum()


def test_reliability_is_that_of_the_answers_before_and_after(facts: RunFacts, mistaken: Measured, draft: Draft) -> None:
    before, after = facts.reliability
    assert (before.name, before.temperature) == ("before", 1.0)
    assert (after.name, after.temperature) == ("after", draft.calibration.temperature)
    assert after.ece == pytest.approx(facts.figures["ece"], abs=1e-6)
    assert mistaken.raw is not None
    assert before.count == reliability(mistaken.data.labels, mistaken.raw).count


def without_the_second(side: Measured, probabilities: NDArray[np.float32]) -> Measured:
    """The photos of a side that do not show the second species, and what is to be said of them."""
    kept = np.flatnonzero(side.data.labels != 1)
    return Measured(side.name, side.data.subset(kept), [side.photos[i] for i in kept.tolist()], probabilities[kept])


def test_a_species_without_test_photos_has_no_figures(trained: run.Trained, draft: Draft) -> None:
    whole = measured(trained, draft, "test")
    shares = whole.probabilities * np.array([1, 0, 1], np.float32) + np.float32(1e-6)
    some = without_the_second(whole, shares / shares.sum(axis=1, keepdims=True))
    first, absent, last = facts_of(trained, draft, [some]).species
    assert [first.name, absent.name, last.name] == list(SPECIES)
    assert (absent.train, absent.held_out) == (4, 0)
    assert (absent.precision, absent.recall, absent.recall_interval, absent.f1) == (None, None, None, None)
    for row in (first, last):
        assert (row.train, row.held_out) == (4, 2)
        assert row.recall is not None
        assert row.recall_interval is not None
        assert row.recall_interval[0] <= row.recall <= row.recall_interval[1]


def test_a_species_that_is_only_named_by_mistake_has_a_precision_of_zero(trained: run.Trained, draft: Draft) -> None:
    side = without_the_second(measured(trained, draft, "test"), np.tile(np.array([0, 1, 0], np.float32), (6, 1)))
    first, named, _ = facts_of(trained, draft, [side]).species
    assert (named.precision, named.recall, named.f1) == (0.0, None, 0.0)
    assert (first.precision, first.recall, first.f1) == (None, 0.0, 0.0)


def test_folds_come_before_validation_and_mistakes_from_what_was_saved(trained: run.Trained, draft: Draft) -> None:
    train = trained.found.train
    shares = np.eye(3, dtype=np.float32)[train.labels]
    rows = [{"fold": number, "photos": 6, "accuracy": accuracy} for number, accuracy in ((1, 1.0), (2, 0.5))]
    folds = Folds(train, trained.found.side("train"), shares, rows)
    val = measured(trained, draft, "val", wrong=True)
    facts = facts_of(trained, draft, [Measured("folds", train, folds.photos, shares), val], folds=folds)
    assert facts.figures["accuracy"] == 1.0
    assert facts.figures["n"] == len(train)
    assert facts.folds == {"accuracy": [1.0, 0.5], "mean": 0.75, "spread": pytest.approx(0.5**0.5 / 2)}
    assert "had not seen it" in facts.sentence
    assert {mistake.path for mistake in facts.mistakes} <= {photo.path.as_posix() for photo in val.photos}


def test_who_passes_is_said_of_both_sides(facts: RunFacts, trained: run.Trained) -> None:
    assert facts.rejection is not None
    assert facts.rejection.accepted_val == pytest.approx(trained.metrics["unknown"]["accepted_val"])
    assert facts.rejection.accepted_test is not None


@pytest.mark.parametrize(("bad", "words"), [(1, "1 file was left out"), (1200, "1,200 files were left out")])
def test_what_was_left_out_is_noted(trained: run.Trained, draft: Draft, bad: int, words: str) -> None:
    troubled = [Photo(Path(f"{i}.jpg"), "fern", problem="empty file") for i in range(bad)]
    found = dataclasses.replace(trained.found, photos=[*trained.found.photos, *troubled])
    (note,) = facts_of(trained, draft, [], found=found, garden=False).notes
    assert note == f"{words}; manifest.csv says why."
    drawn, _ = facts_of(trained, draft, [], found=found).notes
    assert "drawings made by the program" in drawn
