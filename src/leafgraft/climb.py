"""From a probe upwards: a classifier within seconds, then a better one for as long as it improves or time allows.

1. a linear probe on the centre crops;
2. the same with random views of the photos, whose features fine-tuning needs the frozen layers for anyway;
3. fine-tuning of the last layers from there.

Where there are validation photos, each step has to beat the one before on them, or its work is undone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leafgraft._tensorflow import keras
from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.errors import UserError
from leafgraft.photos.dataset import Dataset
from leafgraft.progress import Progress
from leafgraft.recipes import Recipe, Views, fine_tuning_pays, views_per_photo

if TYPE_CHECKING:
    from leafgraft.classifier import PlantClassifierTransferLearning


def climb(
    classifier: PlantClassifierTransferLearning,
    data: Dataset,
    validation: Dataset | None,
    recipe: Recipe,
    *,
    views: Views | None = None,
    class_weight: Mapping[Any, float] | str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    on_probe: Callable[[], None] = lambda: None,
    verbose: int | str = 0,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train a classifier by a recipe with a linear head.

    Args:
        classifier: its head is replaced.
        data: photos to train on.
        validation: photos to choose by; without them the last step is kept, and the number of photos decides on
            fine-tuning.
        recipe: how far to go.
        views: random views kept of each photo, by default by their number; or "fresh", for new ones in every epoch of
            fine-tuning and none for the probe.
        class_weight: as in `PlantClassifierTransferLearning.train_probe`.
        callbacks: Keras callbacks for fine-tuning.
        on_probe: called when a probe is ready.
        verbose: as in Keras' ``fit``.
        progress: told how far each lasting step is.
        checkpoint: remembers which steps are done and which weights were the best.

    Raises:
        UserError: ``views`` is neither.
    """
    if views not in (None, "fresh") and (not isinstance(views, int | np.integer) or views < 1):
        raise UserError(f'views must be a whole number, 1 or more, or "fresh". Received: {views!r}.')
    shared: dict[str, Any] = {"validation_data": validation, "class_weight": class_weight, "progress": progress}
    classifier.freeze_base_model()
    classifier.add_linear_head()
    assert classifier.model is not None
    best = _Best(classifier.model)
    so_far = _SoFar()
    if checkpoint:
        so_far.follow(checkpoint, best)
    budget = math.inf if recipe.budget is None else recipe.budget
    deep = recipe.unfreeze if recipe.epochs_fine else 0

    def probe(drawn: int) -> None:
        classifier.train_probe(data, views=drawn, augment=recipe.augmentation, unfreeze=deep, **shared)
        best.compare(classifier.history[-1])
        so_far.probes += 1
        on_probe()
        if checkpoint:
            checkpoint.write()

    if not so_far.probes:
        probe(0)
    if recipe.probe_views and so_far.views is None:
        so_far.views = views or affordable(
            views_per_photo(len(data)), classifier.history[-1]["seconds"], budget - so_far.seconds()
        )
    if so_far.views and so_far.views != "fresh" and so_far.probes == 1:
        probe(so_far.views)
    if so_far.tuned_from is None:
        best.restore()
        unchecked = validation is None and not fine_tuning_pays(len(data), len(data.classes))
        if not (recipe.epochs_fine and so_far.views) or unchecked or so_far.seconds() >= budget:
            return
    classifier.fine_tune(recipe.unfreeze, learning_rate=recipe.rate_fine, label_smoothing=recipe.label_smoothing)
    best.follow_all()
    assert so_far.views is not None
    classifier.train_fine_tuning(
        data,
        epochs=recipe.epochs_fine,
        batch_size=recipe.batch_size,
        augment=recipe.augmentation,
        views=so_far.views,
        schedule=_Cosine(recipe.rate_fine, recipe.epochs_fine, budget, so_far) if recipe.cosine else None,
        callbacks=[*callbacks, _KeepBest(classifier, best, recipe.patience, budget, so_far)],
        verbose=verbose,
        **shared,
    )
    if recipe.keep_best:
        best.restore()
    best.let_go()


def affordable(views: int, seconds: float, left: float) -> int:
    """How many views of each photo can be looked at in time.

    Args:
        views: how many are wanted.
        seconds: what one of each photo took.
        left: seconds that are left; half of them are for what comes after.

    Returns:
        0 to ``views``.
    """
    return views if math.isinf(left) else max(0, min(views, int(0.5 * left / max(seconds, 1e-9))))


class _Best:
    """The weights with the best accuracy on validation photos so far; of equals, those with the least log loss.

    Attributes:
        figures: accuracy, and the log loss below 0; None before the first, and without validation photos.
        values: the weights.
    """

    def __init__(self, model: keras.Model) -> None:
        self.figures: tuple[float, float] | None = None
        self.values: list[Any] = []
        self._model = model
        self._variables = [model.get_layer("probabilities").kernel, model.get_layer("probabilities").bias]

    def compare(self, row: Mapping[str, Any]) -> bool:
        """Keep the weights as they are now if a line of the history is better than all before; says whether it is."""
        figures = None if row["val_accuracy"] is None else (row["val_accuracy"], -row["val_loss"])
        better = figures is None or self.figures is None or figures > self.figures
        if better:
            self.figures = figures
            self.values = [variable.numpy() for variable in self._variables]
        return better

    def follow_all(self) -> None:
        """From now on keep all that learns, not the head alone."""
        self._variables = list(self._model.trainable_variables)
        if len(self.values) != len(self._variables):  # else a checkpoint had them
            self.values = [variable.numpy() for variable in self._variables]

    def restore(self) -> None:
        """Go back to the best."""
        for variable, value in zip(self._variables, self.values, strict=True):
            variable.assign(value)

    def let_go(self) -> None:
        """Nothing learns any more: what a checkpoint asks for is in the model, and the copy is memory for others."""
        self.values = self._variables


class _SoFar:
    """Which steps are done, and how much of the time, over all processes that have worked on it.

    Attributes:
        probes: how many there have been.
        views: how many random views are kept of each photo; None before it is settled.
        tuned_from: the second at which fine-tuning began; None before.
        worse: epochs since the best one.
    """

    def __init__(self) -> None:
        self.probes, self.worse = 0, 0
        self.views: Views | None = None
        self.tuned_from: float | None = None
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self._start

    def follow(self, checkpoint: Checkpoint, best: _Best) -> None:
        """Take up what a checkpoint remembers of the steps and of the best weights, and have it remember them."""
        if found := checkpoint.take("steps"):
            facts = found.facts
            self.probes, self.views, self.worse = facts["probes"], facts["views"], facts["worse"]
            self.tuned_from = facts["tuned_from"]
            self._start -= facts["seconds"]
            best.figures = None if facts["best"] is None else (facts["best"][0], facts["best"][1])
            best.values = list(found.arrays)

        def part() -> Part:
            facts = {"probes": self.probes, "views": self.views, "worse": self.worse, "tuned_from": self.tuned_from}
            return Part(facts | {"seconds": self.seconds(), "best": best.figures}, best.values)

        checkpoint.keep("steps", part)


class _KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best epoch, and ends the training when there is no better one or no more time."""

    def __init__(
        self,
        classifier: PlantClassifierTransferLearning,
        best: _Best,
        patience: int | None,
        budget: float,
        so_far: _SoFar,
    ) -> None:
        super().__init__()
        self._classifier, self._best, self._patience, self._budget = classifier, best, patience, budget
        self._so_far = so_far

    def on_train_begin(self, logs: Any = None) -> None:
        if self._so_far.tuned_from is None:
            self._so_far.tuned_from = self._so_far.seconds()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._so_far.seconds() >= self._budget:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        better = self._best.compare(self._classifier.history[-1])
        self._so_far.worse = 0 if better else self._so_far.worse + 1
        if self._patience is not None and self._so_far.worse > self._patience:
            self.model.stop_training = True


@dataclass(frozen=True)
class _Cosine:
    """The rate rises over half an epoch, then falls to 0 by the last step or the end of the budget.

    Attributes:
        peak: the highest rate.
        epochs: how many there will be.
        budget: seconds of the whole training.
        so_far: how many have passed.
    """

    peak: float
    epochs: int
    budget: float
    so_far: _SoFar

    def __call__(self, step: int, steps: int) -> float:
        """The rate at a step; see `leafgraft.engine.stages.Schedule`."""
        begun = self.so_far.tuned_from or 0.0
        spent = (self.so_far.seconds() - begun) / max(self.budget - begun, 1e-9)
        return self.peak * rate_share(step, steps, self.epochs, spent)


def rate_share(step: int, steps: int, epochs: int, spent: float) -> float:
    """The share of the peak rate at a step.

    Args:
        step: how many are done.
        steps: of an epoch.
        epochs: how many there will be.
        spent: the share of the time that is used up, 0 to 1.

    Returns:
        0 to 1.
    """
    warming = max(1, steps // 2)
    done = max((step - warming) / max(1, steps * epochs - warming), min(1.0, spent))
    return min(1.0, (step + 1) / warming) * 0.5 * (1.0 + math.cos(math.pi * max(0.0, min(1.0, done))))
