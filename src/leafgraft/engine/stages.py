"""Training: fill the bank with what the frozen part makes of every view, then fit the rest from it, epoch by epoch."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from leafgraft._tensorflow import keras
from leafgraft.engine.bank import Bank, row_key
from leafgraft.engine.prefix import ENGINE, Engine, convert, fingerprint
from leafgraft.machine import cores
from leafgraft.network import Halves, cut
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import CENTRE, PIXELS, Dataset
from leafgraft.progress import Progress, under_way

_COMMIT = 256  # rows between two synchronisations with the disk


@dataclass(frozen=True)
class Feed:
    """A data set as rows of a bank.

    Attributes:
        tensors: the rows of the bank, (rows, *shape) each, mapped into memory.
        places: int64 (n, v): the row of each of the v views of each of the n photos.
        targets: float32 (n, classes), one-hot.
        weights: float32 (n,), or None.
    """

    tensors: tuple[NDArray[Any], ...]
    places: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32] | None = None


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch after another of a feed: each photo once an epoch, shuffled, in a view drawn anew."""

    def __init__(self, feed: Feed, batch_size: int, seed: int | None) -> None:
        """Make the batches.

        Args:
            feed: what to read.
            batch_size: photos a batch.
            seed: of the shuffling and the choice of views; None keeps the order and takes the first view.
        """
        super().__init__()
        self._feed, self._batch_size = feed, batch_size
        self._chance = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(feed.places))
        self._view = np.zeros(len(feed.places), np.int64)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        rows = self._feed.places[chosen, self._view[chosen]]
        inputs = tuple(tensor[rows].astype(np.float32) for tensor in self._feed.tensors)
        batch = (inputs[0] if len(inputs) == 1 else inputs, self._feed.targets[chosen])
        return batch if self._feed.weights is None else (*batch, self._feed.weights[chosen])

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        if self._chance is not None:
            self._order = self._chance.permutation(len(self._feed.places))
            self._view = self._chance.integers(0, self._feed.places.shape[1], len(self._feed.places))


def fit(
    model: keras.Model,
    data: Dataset,
    validation: Dataset | None,
    *,
    bank: Path,
    epochs: int,
    batch_size: int = 32,
    views: int = 1,
    augmentation: Augmentation | None = None,
    class_weight: dict[int, float] | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    progress: Progress | None = None,
    title: str = "Training",
) -> keras.callbacks.History:
    """Train a compiled model as Keras' ``fit`` would, with the frozen part computed once.

    Args:
        model: flat and functional, compiled with categorical cross-entropy; its ``trainable`` flags decide where it is
            cut.
        data: the photos to train on.
        validation: photos for the figures after each epoch, seen as centre crops.
        bank: the folder of all banks.
        epochs: how many.
        batch_size: photos a step.
        views: random views kept of each photo, of which an epoch shows one; used with ``augmentation``.
        augmentation: ranges of the random views; None shows the centre crop alone.
        class_weight: what each label's loss is multiplied by.
        seed: of the shuffling and the choice of views.
        callbacks: Keras callbacks; they see ``model``, not the suffix.
        verbose: as in Keras.
        progress: told how far the bank is filled, and then the training.
        title: what the training is called there.

    Returns:
        Keras' record of the epochs.
    """
    halves = cut(model)
    numbers = [CENTRE] if augmentation is None else list(range(views))
    store = Store(halves, bank)
    wanted = [(data, numbers, augmentation or Augmentation())]
    if validation is not None:
        wanted.append((validation, [CENTRE], Augmentation()))
    feeds = [store.feed(*want, progress=progress) for want in wanted]
    if class_weight is not None:
        weights = np.array([class_weight.get(label, 1.0) for label in data.labels.tolist()], np.float32)
        feeds[0] = replace(feeds[0], weights=weights)
    # The optimizer is the model's own, so that a second call goes on where the first one ended, and what a callback
    # does to the rate of `model` counts.
    if not model.optimizer.built:
        # Keras would do it while it traces the first step, where it takes many times as long.
        model.optimizer.build(model.trainable_variables)
    model.stop_training = False
    halves.suffix.compile(optimizer=model.optimizer, loss=model.loss, metrics=["accuracy"], jit_compile=False)
    history = keras.callbacks.History()
    own = [history, _StopTogether(halves.suffix)]
    if progress:
        own.append(_Steps(progress, title))
    whole = keras.callbacks.CallbackList(
        [*callbacks, *own],
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=-(-len(data) // batch_size),
    )
    halves.suffix.history = history
    halves.suffix.fit(
        Batches(feeds[0], batch_size, seed),
        validation_data=Batches(feeds[1], batch_size, None) if validation is not None else None,
        epochs=epochs,
        callbacks=whole,
        verbose=verbose,
    )
    return history


class _StopTogether(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the wish to stop, which callbacks express on the whole model, to the suffix that is being fitted."""

    def __init__(self, suffix: keras.Model) -> None:
        super().__init__()
        self._suffix = suffix

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._suffix.stop_training = self.model.stop_training

    on_train_batch_end = on_epoch_end


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells how many steps of all epochs are done."""

    def __init__(self, progress: Progress, title: str) -> None:
        super().__init__()
        self._progress, self._title, self._done = progress, f"{title}, steps", 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._done += 1
        self._progress(self._title, self._done, max(self._done + 1, self.params["epochs"] * self.params["steps"]))

    def on_train_end(self, logs: Any = None) -> None:
        self._progress(self._title, self._done, self._done)


class Store:
    """The bank that belongs to one cut, and the engine that fills it."""

    def __init__(self, halves: Halves, root: Path) -> None:
        """Find the bank of a cut; nothing is computed yet."""
        self._halves = halves
        if halves.takes_photos:
            self._settings, dtype = PIXELS, "uint8"
        else:
            self._settings, dtype = f"{PIXELS} {ENGINE} {fingerprint(halves.prefix)}", "float16"
        self._root, self._dtype = root, dtype

    def feed(
        self, data: Dataset, numbers: Sequence[int], augmentation: Augmentation, progress: Progress | None = None
    ) -> Feed:
        """Make sure that the views of some photos are in the bank.

        Args:
            data: the photos.
            numbers: which views of each.
            augmentation: ranges of the random views.
            progress: told how many views are done.
        """
        # The centre crop is the same under every augmentation.
        drawn = f" {augmentation}" if list(numbers) != [CENTRE] else ""
        bank = Bank(self._root, self._settings + drawn, self._halves.shapes, self._dtype)
        keys = [row_key(key, number) for key in data.keys for number in numbers]
        with _held(bank, progress):
            if missing := bank.missing(keys):
                views = _drawn(data, [divmod(i, len(numbers)) for i in missing], numbers, augmentation)
                self._fill(bank, keys, missing, views, progress)
            places = bank.places(keys).reshape(len(data), len(numbers))
            tensors = bank.tensors()
        targets = np.eye(len(data.classes), dtype=np.float32)[data.labels]
        return Feed(tensors, places, targets)

    def _fill(
        self,
        bank: Bank,
        keys: Sequence[bytes],
        missing: Sequence[int],
        views: Iterator[NDArray[np.uint8]],
        progress: Progress | None,
    ) -> None:
        """Compute the missing rows; any number of them may be left undone without harm."""
        done = 0
        text = "Drawing the views" if self._halves.takes_photos else "Computing the frozen layers"
        outputs: Iterator[Sequence[NDArray[Any]]]
        if self._halves.takes_photos:
            outputs = ([view[None]] for view in views)
        else:
            with under_way(progress, "Compiling the frozen layers"):
                engine = Engine(convert(self._halves.prefix))
            outputs = engine.run(views)
        for tensors in outputs:
            before, done = done, done + len(tensors[0])
            bank.append([keys[i] for i in missing[before:done]], tensors)
            if done // _COMMIT > before // _COMMIT:
                bank.commit()
            if progress:
                progress(text, done, len(missing))
        bank.commit()


@contextmanager
def _held(bank: Bank, progress: Progress | None) -> Iterator[None]:
    """Hold the lock of a bank, and say so where another process makes one wait."""
    lock = bank.lock()
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        with under_way(progress, "Waiting for another training that fills the bank"):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _drawn(
    data: Dataset, wanted: Sequence[tuple[int, int]], numbers: Sequence[int], augmentation: Augmentation
) -> Iterator[NDArray[np.uint8]]:
    """Decode photos and draw views in threads, in order and not far ahead of the reader.

    Args:
        data: the photos.
        wanted: (photo, index into ``numbers``), sorted: each photo is decoded once for all of its views.
        numbers: of the views.
        augmentation: ranges of the random views.
    """
    photos = [(photo, [numbers[i] for _, i in group]) for photo, group in itertools.groupby(wanted, lambda w: w[0])]
    with ThreadPoolExecutor(cores(), thread_name_prefix="decode") as pool:
        ahead: collections.deque[Future[list[NDArray[np.uint8]]]] = collections.deque()
        try:
            for photo, some in photos:
                ahead.append(pool.submit(data.views, photo, some, augmentation))
                if len(ahead) > 4 * cores():
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
