"""A training on two Ray nodes is that of one machine."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from leafgraft import run
from leafgraft.classifier import PlantClassifierTransferLearning
from leafgraft.cluster import training
from leafgraft.cluster.training import Cluster, cluster
from leafgraft.engine.machines import Machines
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.errors import UserError
from leafgraft.network import cut_at_pool
from leafgraft.photos import Augmentation, scan
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.progress import Watch
from leafgraft.recipes import BEST

EPOCHS = 3
RANGES = Augmentation()


@pytest.fixture
def data(photos: Path) -> Dataset:
    """Sixteen photos of two species."""
    return Dataset.of_photos([photo for photo in scan(photos, fewest=1) if not photo.problem], ("cactus", "fern"))


@contextmanager
def machines_at(address: str, folder: Path) -> Iterator[Cluster]:
    """A cluster that keeps a checkpoint every second."""
    with cluster(address, folder / "run", every=1.0) as machines:
        yield machines


def classifier_on(machines: Machines | None, weights: Path, bank: Path) -> PlantClassifierTransferLearning:
    """One in float32, whose base has been frozen."""
    made = PlantClassifierTransferLearning(2, weights=weights, bank=bank, engine="fp32", machines=machines)
    made.freeze_base_model()
    made.add_linear_head()
    return made


def tuned(made: PlantClassifierTransferLearning, data: Dataset, **options: Any) -> PlantClassifierTransferLearning:
    """Fine-tune in steps of all photos, so that no order plays a part."""
    made.fine_tune(4, learning_rate=1e-3)
    made.train_fine_tuning(
        data, epochs=EPOCHS, validation_data=data, batch_size=48, augment=False, verbose=0,
        schedule=rate, class_weight={"cactus": 2.0}, **options,
    )  # fmt: skip
    return made


def rate(step: int, steps: int) -> float:
    """Falls from step to step."""
    return 1e-3 / (1 + step)


def require_alike(one: PlantClassifierTransferLearning, two: PlantClassifierTransferLearning) -> None:
    """Compare what both have learned, and what they say of it."""
    assert one.model is not None
    assert two.model is not None
    for expected, found in zip(one.history, two.history, strict=True):
        for name in ("stage", "epoch", "accuracy", "val_accuracy"):
            assert found[name] == expected[name]
        for name in ("loss", "val_loss", "learning_rate"):
            assert found[name] == pytest.approx(expected[name], rel=1e-3)
    for variable, other in zip(one.model.variables, two.model.variables, strict=True):
        # Adam's first steps go by the sign of the gradient: where it is all but 0, the last digit decides.
        gaps = np.abs(np.asarray(variable) - np.asarray(other))
        assert np.mean(gaps > 2e-4) < 1e-3
        assert gaps.max() < 5e-3


@pytest.mark.slow
def test_rows_are_those_of_one_machine(address: str, data: Dataset, weights: Path, bank: Path, tmp_path: Path) -> None:
    model = classifier_on(None, weights, bank).model
    prefix, means = Prefix.of(cut_at_pool(model)), Means(bank, "fp32")
    with machines_at(address, tmp_path) as machines:
        found = machines.rows(prefix, means, data, [0, 1], RANGES)
        np.testing.assert_allclose(found, Store(prefix, means).all_rows(data, [0, 1], RANGES), atol=1e-3)
        stale = dataclasses.replace(data, keys=("0" * 64, *data.keys[1:]))
        with pytest.raises(UserError, match=r"\.jpg has changed since it was scanned; run the command again"):
            machines.rows(prefix, means, stale, [CENTRE], RANGES)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_fine_tuning_on_two_workers_is_that_of_one_process(
    address: str, data: Dataset, weights: Path, bank: Path, tmp_path: Path
) -> None:
    steps: list[tuple[str, int, int]] = []
    with machines_at(address, tmp_path) as machines:
        assert machines.size(32) == 32
        assert machines.size(8) == 2 * training.LEAST
        two = tuned(classifier_on(machines, weights, bank), data, progress=lambda *told: steps.append(told))
    one = tuned(classifier_on(None, weights, bank), data)
    require_alike(one, two)
    assert steps[-1] == ("Fine-tuning, steps", EPOCHS, EPOCHS)


@pytest.mark.slow
def test_a_node_dies_in_the_midst_of_fine_tuning(
    nodes: Any, address: str, data: Dataset, weights: Path, bank: Path, tmp_path: Path
) -> None:
    node = nodes.add_node(num_cpus=1)
    told: list[int] = []

    def kill() -> None:
        while not told:
            time.sleep(0.05)
        nodes.remove_node(node, allow_graceful=False)

    def progress(text: str, done: int, total: int) -> None:
        if text == "Fine-tuning, steps" and done:
            told.append(done)

    killer = Thread(target=kill)
    killer.start()
    with machines_at(address, tmp_path) as machines:
        two = tuned(classifier_on(machines, weights, bank), data, progress=progress)
    killer.join()
    require_alike(tuned(classifier_on(None, weights, bank), data), two)


@pytest.mark.slow
def test_with_gpus_tensorflow_computes(
    nodes: Any, address: str, data: Dataset, weights: Path, bank: Path, tmp_path: Path
) -> None:
    """Ray believes in the GPU that a node says to have; TensorFlow sees none, and computes on the processor."""
    node = nodes.add_node(num_cpus=1, num_gpus=1)
    with cluster(address, tmp_path / "run", gpus=0.5, every=60.0) as machines:
        assert machines.size(8) == 2 * training.LEAST
        two = tuned(classifier_on(machines, weights, bank), data)
    nodes.remove_node(node)
    require_alike(tuned(classifier_on(None, weights, bank), data), two)


@pytest.mark.slow
def test_the_whole_command(leafgraft: Callable[..., Any], address: str, garden: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = ("train", garden, "-o", folder, "--classes", "cactus,fern", "--cluster", address, "--epochs-fine", 2)
    said = leafgraft(*command)
    assert said.status == 0, said
    assert "Accuracy" in said.out
    history = (folder / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history[1:]] == ["probe", "probe", "fine", "fine"]
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".parts"] == []
    assert leafgraft("predict", folder, garden / "fern").status == 0


@pytest.mark.slow
def test_an_interrupted_run_goes_on(address: str, garden: Path, weights: Path, bank: Path, tmp_path: Path) -> None:
    """In the midst of fine-tuning; what was looked at and learned is not done again."""
    settings = run.Settings(
        dataclasses.replace(BEST, epochs_fine=3), ("cactus", "fern"), weights=weights, bank=bank, engine="fp32",
        views=2, check=False, cluster=address, checkpoint_every=1.0,
    )  # fmt: skip
    seen: list[str] = []
    ending: list[int] = []

    def progress(text: str, done: int, total: int) -> None:
        seen.append(text)
        if text == "Fine-tuning, steps" and done:
            ending.append(done)

    with pytest.raises(KeyboardInterrupt):
        run.train(garden, tmp_path / "run", settings, Watch(progress, ending=lambda: bool(ending)))
    assert (tmp_path / "run.parts").is_dir()
    assert "Parts done" in seen
    seen.clear()
    found = run.train(garden, tmp_path / "run", settings, Watch(lambda text, done, total: seen.append(text)))
    stages = [row["stage"] for row in found.classifier.history]
    assert stages == ["probe", "probe", "fine", "fine", "fine"]
    assert seen.index("Fine-tuning, steps") < seen.index("Parts done")  # the one at the end, by what was learned
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_only_one_machine_can_do_is_refused(refused: Callable[..., str], garden: Path, tmp_path: Path) -> None:
    for options, sentence in (
        (("--budget", "5m"), "--cluster and --budget exclude each other"),
        (("--views", "fresh"), "--cluster keeps the views of each photo; give --views a number"),
        (("--folds", 3), "--folds trains on this machine alone"),
        (("--engine", "int8"), "in fp32, bf16 or auto, not in int8"),
    ):
        assert sentence in refused("train", garden, "-o", tmp_path / "run", "--cluster", "local", *options)
    output = ("-o", tmp_path / "run.npz")
    for command in (("train", garden, *output), ("features", garden, *output), ("check", garden)):
        assert "--gpus-per-worker is for --cluster" in refused(*command, "--gpus-per-worker", 1)
    assert not list(tmp_path.iterdir())
