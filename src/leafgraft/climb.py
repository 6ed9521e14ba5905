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
from typing import TYPE_CHECKING, Any

from leafgraft._tensorflow import keras
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
    """
    deadline = math.inf if recipe.budget is None else time.perf_counter() + recipe.budget
    shared: dict[str, Any] = {"validation_data": validation, "class_weight": class_weight, "progress": progress}
    classifier.freeze_base_model()
    classifier.add_linear_head()
    assert classifier.model is not None
    best = _Best(classifier.model)
    deep = recipe.unfreeze if recipe.epochs_fine else 0

    def probe(drawn: int) -> None:
        classifier.train_probe(data, views=drawn, augment=recipe.augmentation, unfreeze=deep, **shared)
        best.compare(classifier.history[-1])
        on_probe()

    probe(0)
    if not recipe.probe_views:
        return
    if views is None:
        views = affordable(
            views_per_photo(len(data)), classifier.history[-1]["seconds"], deadline - time.perf_counter()
        )
    if not views:
        return
    if views != "fresh":
        probe(views)
        best.restore()
    if not recipe.epochs_fine:
        return
    unchecked = validation is None and not fine_tuning_pays(len(data), len(data.classes))
    if unchecked or time.perf_counter() >= deadline:
        return
    classifier.fine_tune(recipe.unfreeze, learning_rate=recipe.rate_fine, label_smoothing=recipe.label_smoothing)
    best.follow_all()
    own = [_Cosine(recipe.rate_fine, recipe.epochs_fine, deadline)] if recipe.cosine else []
    classifier.train_fine_tuning(
        data,
        epochs=recipe.epochs_fine,
        batch_size=recipe.batch_size,
        augment=recipe.augmentation,
        views=views,
        callbacks=[*callbacks, *own, _KeepBest(classifier, best, recipe.patience, deadline)],
        verbose=verbose,
        **shared,
    )
    if recipe.keep_best:
        best.restore()


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
    """The weights with the best accuracy on validation photos so far; of equals, those with the least log loss."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._variables = [model.get_layer("probabilities").kernel, model.get_layer("probabilities").bias]
        self._figures: tuple[float, float] | None = None
        self._values: list[Any] = []

    def compare(self, row: Mapping[str, Any]) -> bool:
        """Keep the weights as they are now if a line of the history is better than all before; says whether it is."""
        figures = None if row["val_accuracy"] is None else (row["val_accuracy"], -row["val_loss"])
        better = figures is None or self._figures is None or figures > self._figures
        if better:
            self._figures = figures
            self._values = [variable.numpy() for variable in self._variables]
        return better

    def follow_all(self) -> None:
        """From now on keep all that learns, not the head alone."""
        self._variables = list(self._model.trainable_variables)
        self._values = [variable.numpy() for variable in self._variables]

    def restore(self) -> None:
        """Go back to the best."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)


class _KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best epoch, and ends the training when there is no better one or no more time."""

    def __init__(
        self, classifier: PlantClassifierTransferLearning, best: _Best, patience: int | None, deadline: float
    ) -> None:
        super().__init__()
        self._classifier, self._best, self._deadline = classifier, best, deadline
        self._patience, self._worse = patience, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if time.perf_counter() >= self._deadline:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._worse = 0 if self._best.compare(self._classifier.history[-1]) else self._worse + 1
        if self._patience is not None and self._worse > self._patience:
            self.model.stop_training = True


class _Cosine(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets the rate rise over half an epoch, then fall to 0 by the last step or the end of the budget."""

    def __init__(self, peak: float, epochs: int, deadline: float) -> None:
        super().__init__()
        self._peak, self._epochs, self._deadline, self._step = peak, epochs, deadline, 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        steps = self.params["steps"]
        spent = (time.perf_counter() - self._start) / max(self._deadline - self._start, 1e-9)
        self.model.optimizer.learning_rate = self._peak * rate_share(self._step, steps, self._epochs, spent)
        self._step += 1


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
