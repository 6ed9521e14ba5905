"""`PlantClassifierTransferLearning`: the six blocks, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leafgraft import imagenet, network
from leafgraft._tensorflow import keras
from leafgraft.engine import probe, stages
from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.engine.features import through
from leafgraft.engine.history import EpochLog, epoch_row
from leafgraft.engine.machines import Machines
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Means
from leafgraft.errors import OrderError, UserError
from leafgraft.inputs import Labels, Photos, Side, as_dataset, as_pixels, class_weights, photos_in, unnamed
from leafgraft.machine import release_memory, room_for
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.photos.decode import centre
from leafgraft.progress import Progress, under_way
from leafgraft.recipes import CLASSIC, Recipe, Views, views_per_photo
from leafgraft.report import plots
from leafgraft.safety.plain import unfit_names
from leafgraft.verdict.calibration import tempered
from leafgraft.verdict.metrics import score
from leafgraft.verdict.unknown import Known, some_of_each

if TYPE_CHECKING:
    from leafgraft.bundle import Calibration, Draft
    from leafgraft.comparison import Comparison, Equal

Validation = tuple[Photos, Labels] | Photos


class PlantClassifierTransferLearning:
    """A plant classifier grafted onto an ImageNet ResNet50.

    Call the methods in this order, or `fit`, which does the whole walk:

        classifier = PlantClassifierTransferLearning(num_classes=10)
        classifier.freeze_base_model()
        classifier.add_custom_head()
        classifier.compile_transfer_learning()
        classifier.train_with_frozen_base(X_train, y_train, epochs=10)
        classifier.fine_tune(num_layers_unfreeze=50)
        classifier.train_fine_tuning(X_train, y_train, epochs=20)

    Wherever photos are asked for, they may be an array (n, 224, 224, 3) in RGB, uint8 or float 0-255 (floats within 0-1
    are recognised and scaled); a folder with a folder of photos per species, or a CSV with path and label; a data set
    of a hub, such as "hf:owner/name" (see `leafgraft.hubs.request.parse`); or a `leafgraft.photos.dataset.Dataset`.
    Labels may be one-hot (n, num_classes), integers (n,), names (n,), or None where a folder names them. Preprocessing
    happens inside the model: never scale or centre photos yourself.

    While layers are frozen their results for a photo do not change, so they are computed once for each view of each
    photo and kept on disk (`leafgraft.engine.bank`); the epochs then cost only the layers that learn. What they
    see is a fixed number of random views of each photo, where ``model.fit`` with a generator would draw new ones.

    Attributes:
        num_classes: how many species there are.
        base_model: ResNet50 without its top: photo (n, 224, 224, 3), RGB 0-255, to (n, 7, 7, 2048).
        model: the whole classifier, one flat Keras model, photo to probabilities (n, num_classes); None before
            `add_custom_head`.
        classes: names of the species in the order of the probabilities; None until they are known.
        history: one dictionary an epoch over all training so far: stage, epoch, seconds, loss, accuracy,
            val_loss, val_accuracy and learning_rate.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        weights: str | Path | None = "imagenet",
        class_names: Sequence[str] | None = None,
        batch_norm: network.BatchNorm = "frozen",
        seed: int = 0,
        bank: str | Path | None = None,
        bank_gb: float | None = None,
        engine: str = "auto",
        machines: Machines | None = None,
    ) -> None:
        """Load ResNet50.

        Args:
            num_classes: how many species there are, at least 2.
            weights: "imagenet" (from the cache, or downloaded once), a file with ResNet50's ImageNet weights, or None
                for random weights.
            class_names: names of the species, if they are known now.
            batch_norm: "frozen" keeps BatchNorm as ImageNet left it in fine-tuning; "train" does what the literal
                recipe does, which spoils its statistics on few photos.
            seed: of the head's weights, the dropout, the shuffling and the choice of views. It is set for Python, NumPy
                and TensorFlow alike, as ``keras.utils.set_random_seed`` does.
            bank: folder for the activation banks; by default in the user's cache.
            bank_gb: what all banks together may take of the disk, in GB; what does not fit is computed whenever it is
                needed. By default half of what is free.
            engine: what computes the frozen layers: "fp32", "bf16" or "int8" in OpenVINO, "tensorflow", or "auto" for
                what gives the same answers the soonest on this machine.
            machines: others that compute the frozen layers and fine-tune; see `leafgraft.cluster.training`.

        Raises:
            UserError: ``num_classes`` is below 2, names do not match it, or the weights cannot be had.
        """
        if not isinstance(num_classes, int | np.integer) or num_classes < 2:
            raise UserError(f"num_classes must be a whole number, 2 or more species. Received: {num_classes!r}.")
        if batch_norm not in ("frozen", "train"):
            raise UserError(f'batch_norm must be "frozen" or "train". Received: {batch_norm!r}.')
        if class_names is not None and len(class_names) != num_classes:
            raise UserError(f"{len(class_names)} class_names for num_classes={num_classes}: give one name a class.")
        if class_names is not None and (odd := unfit_names(class_names)):
            raise UserError(f"class_names {odd}; give each class a name of its own.")
        self.num_classes = int(num_classes)
        self.batch_norm = batch_norm
        self.seed = seed
        self.classes: tuple[str, ...] | None = tuple(class_names) if class_names is not None else None
        self.history: list[dict[str, Any]] = []
        self.model: keras.Model | None = None
        self._weights = weights
        choose(engine)  # or it is refused only when the training begins
        root = Path(bank) if bank is not None else imagenet.cache_dir() / "bank"
        self._means = Means(root, engine, bank_gb, machines=machines)
        self._compiled_for = ""
        self._loaded = False
        self._unfrozen = 0
        self._crops: dict[str, NDArray[np.float16]] = {}  # features by photo, for as long as the base stays frozen
        self._learned_from: Dataset | None = None
        self._watched: Dataset | None = None
        self._known: Known | None = None
        self._calibration: Calibration | None = None
        self._checkpoint: Checkpoint | None = None  # while `fit` is at work
        keras.utils.set_random_seed(seed)
        self.base_model: keras.Model = network.resnet50()
        if weights is not None:
            imagenet.load_into(self.base_model, imagenet.fetch(None if weights == "imagenet" else weights))

    # Block 1: the backbone.

    def freeze_base_model(self) -> None:
        """Freeze every layer of `base_model`, so that it is a fixed extractor of features."""
        self._let_learn(0)

    def features(
        self, X: Photos | ArrayLike, *, unfreeze: int = 0, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """What the base makes of the centre crop of each photo, as it is now: its pooled features.

        Args:
            X: photos; see the class.
            unfreeze: how many layers are going to be fine-tuned, so that one pass through the frozen layers serves
                both.
            progress: told how far each lasting step is.

        Returns:
            float32 (n, 2048), at least 0 and rounded to half precision, as banks keep them.
        """
        if isinstance(X, Dataset):
            data = X
        elif isinstance(X, str | Path):
            data = photos_in(Path(X))
        else:
            pixels = as_pixels(X)
            data = Dataset.of_arrays(pixels, np.zeros(len(pixels), np.int64), ("",))
        known = self._centres(data, unfreeze, progress)
        return np.stack([known[key] for key in data.keys]).astype(np.float32)

    def _centres(self, data: Dataset, unfreeze: int, progress: Progress | None) -> Mapping[str, NDArray[np.float16]]:
        """What the base makes of the centre crop of each photo, and maybe of others, by the keys of the photos."""
        frozen = not any(layer.trainable for layer in self.base_model.layers)
        model = self.model or network.linear_head(self.base_model, self.num_classes)
        depth = unfreeze if frozen else self._unfrozen
        known = self._crops if frozen else {}
        missing = [i for i, key in enumerate(data.keys) if key not in known]
        if missing:
            means = replace(self._means, progress=progress)
            some = data.subset(np.array(missing))
            rows = through(model, means, some, [CENTRE], Augmentation(), depth)[:, 0].astype(np.float16)
            known.update(zip(some.keys, rows, strict=True))
        return known

    def take_features(self, rows: Mapping[str, NDArray[np.float16]]) -> None:
        """Take over what the frozen base makes of centre crops, by the SHA-256 of each photo, as from `features`."""
        self._crops.update(rows)

    def judge(self, data: Dataset, *, progress: Progress | None = None) -> NDArray[np.float32]:
        """The probability of each species for each photo, before calibration and by way of the bank.

        As `predict_proba`, but the frozen layers come from the engine, and are not computed again for photos that they
        have seen. What differs is in the last digits, except with int8.

        Returns:
            float32 (n, num_classes).
        """
        model = self._learned("judge")
        head = network.without_xla(keras.Model(model.get_layer("pool").output, model.output))
        rows = self.features(data, progress=progress)
        return np.concatenate([head.predict_on_batch(rows[start : start + 512]) for start in range(0, len(rows), 512)])

    # Block 2: the custom head.

    def add_custom_head(self) -> None:
        """Put pooling, Dense 512, Dropout 0.5, Dense 256 and a softmax on the base; sets `model`."""
        self.model = network.custom_head(self.base_model, self.num_classes)
        self._compiled_for = ""

    def add_linear_head(self) -> None:
        """Put a linear classifier of the features on the base instead, as `train_probe` wants it; sets `model`."""
        self.model = network.linear_head(self.base_model, self.num_classes)
        self._compiled_for = ""

    # Block 3: compile.

    def compile_transfer_learning(self, *, learning_rate: float = CLASSIC.rate_frozen) -> None:
        """Compile `model` with Adam at 0.001, categorical cross-entropy and accuracy.

        Args:
            learning_rate: another rate.

        Raises:
            OrderError: there is no head yet.
        """
        self._compile(learning_rate, "compile_transfer_learning")
        self._compiled_for = "frozen"

    # Block 4: stage 1.

    def train_with_frozen_base(
        self,
        X_train: Photos,
        y_train: Labels = None,
        epochs: int = CLASSIC.epochs_frozen,
        *,
        validation_data: Validation | None = None,
        validation_split: float = 0.0,
        batch_size: int = CLASSIC.batch_size,
        augment: bool | Augmentation = True,
        views: Views | None = None,
        unfreeze: int = 0,
        class_weight: Mapping[Any, float] | str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        verbose: int | str = "auto",
        progress: Progress | None = None,
    ) -> keras.callbacks.History:
        """Train the head alone.

        Args:
            X_train: photos; see the class.
            y_train: their labels; see the class.
            epochs: how many passes over the photos.
            validation_data: ``(X, y)`` or a folder, for figures after each epoch.
            validation_split: the fraction of the photos, of each species alike, that is kept for that instead.
            batch_size: photos a step.
            augment: whether epochs show random views (rotation to 20 degrees, shifts to 0.2, flip) or centre crops;
                or other ranges.
            views: how many random views of each photo are kept to draw from; by default 3 to 6, by the number of
                photos. "fresh" makes new ones in every epoch, which takes much longer.
            unfreeze: how many layers are going to be fine-tuned on these views, so that one pass through the frozen
                layers serves both.
            class_weight: the weight of each species in the loss by label or name, or "balanced".
            callbacks: Keras callbacks.
            verbose: as in Keras' ``fit``.
            progress: called with a text, what is done and what there is, while frozen layers are computed.

        Returns:
            Keras' record of this training.

        Raises:
            OrderError: the base is not frozen, or the model is not compiled.
            UserError: the photos or labels are unfit.
        """
        model = self._ready("train_with_frozen_base", "compile_transfer_learning", "frozen")
        if any(layer.trainable for layer in self.base_model.layers):
            raise OrderError("Call freeze_base_model() before train_with_frozen_base(): the base is not frozen.")
        return self._train(
            "frozen", model, X_train, y_train, epochs=epochs, validation_data=validation_data,
            validation_split=validation_split, batch_size=batch_size, augment=augment, views=views,
            unfreeze=unfreeze, class_weight=class_weight, callbacks=callbacks, verbose=verbose, progress=progress,
        )  # fmt: skip

    def train_probe(
        self,
        X_train: Photos,
        y_train: Labels = None,
        *,
        validation_data: Validation | None = None,
        views: int = 0,
        augment: Augmentation = CLASSIC.augmentation,
        unfreeze: int = 0,
        class_weight: Mapping[Any, float] | str | None = None,
        progress: Progress | None = None,
    ) -> probe.Probe:
        """Fit the linear head at once, as a logistic regression on the features; see `leafgraft.engine.probe`.

        Args:
            X_train: photos; see the class.
            y_train: their labels; see the class.
            validation_data: ``(X, y)`` or a folder, for the line in `history`.
            views: how many random views of each photo are learned besides its centre crop.
            augment: their ranges.
            unfreeze: how many layers are going to be fine-tuned on these views, so that one pass through the frozen
                layers serves both.
            class_weight: the weight of each species in the loss by label or name, or "balanced".
            progress: told how far each lasting step is.

        Returns:
            The probe, whose weights the head now has.

        Raises:
            OrderError: there is no linear head, or the base is not frozen.
            UserError: the photos or labels are unfit.
        """
        model = self._head("train_probe", "add_linear_head")
        if not self._has_linear_head(model):
            raise OrderError("Call add_linear_head() before train_probe(): this head is the custom one.")
        if any(layer.trainable for layer in self.base_model.layers):
            raise OrderError("Call freeze_base_model() before train_probe(): the base is not frozen.")
        if not isinstance(views, int | np.integer) or views < 0:
            raise UserError(f"views must be a whole number, 0 or more. Received: {views!r}.")
        started = time.perf_counter()
        data = self._named(self._data(X_train, y_train))
        absent = np.flatnonzero(np.bincount(data.labels, minlength=self.num_classes) == 0)
        if len(absent):
            raise UserError(f"There is no photo of {data.classes[absent[0]]} to train on; a probe needs one of each.")
        weight = class_weights(class_weight, data)
        _, held = self._held(data, validation_data, 0.0)
        rows = self._rows_of_views(data, views, augment, unfreeze, progress)
        repeated = np.repeat(data.labels, 1 + views)
        with under_way(progress, "Fitting the linear probe"):
            fitted = probe.fit(
                rows,
                repeated,
                np.repeat(np.unique(data.groups, return_inverse=True)[1], 1 + views),
                self.num_classes,
                weights=stages.row_weights(weight, repeated),
                seed=self.seed,
            )
        model.get_layer("probabilities").set_weights([fitted.kernel, fitted.bias])
        figures = dict(zip(("loss", "accuracy"), fitted.figures(rows, repeated), strict=True))
        if held is not None:
            seen = probe.rooted(self.features(held, unfreeze=unfreeze, progress=progress))
            figures |= dict(zip(("val_loss", "val_accuracy"), fitted.figures(seen, held.labels), strict=True))
        self.history.append(epoch_row("probe", self.history, time.perf_counter() - started, figures))
        self._remember(data, held)
        return fitted

    def _rows_of_views(
        self, data: Dataset, views: int, augment: Augmentation, unfreeze: int, progress: Progress | None
    ) -> probe.Features:
        """What a probe learns from: rows of the centre crop and of some random views, photo by photo."""
        photos = np.arange(len(data))
        known = self._centres(data, unfreeze, progress)
        random: NDArray[np.floating[Any]] | None = None
        if views:
            means = replace(self._means, progress=progress)
            random = through(self._head("train_probe"), means, data, range(views), augment, unfreeze)
        rows = room_for((len(data), 1 + views, self.base_model.output.shape[-1]), self._means.bank)
        for start in range(0, len(data), 4096):
            some = photos[start : start + 4096]
            centres = np.stack([known[key] for key in data.keys[start : start + 4096]])
            rows[some, 0] = probe.rooted(centres.astype(np.float32))
            if random is not None:
                wide = np.asarray(random[some], np.float32)
                rows[some, 1:] = probe.rooted(wide.reshape(-1, wide.shape[-1])).reshape(wide.shape)
        return rows.reshape(-1, rows.shape[-1])

    # Block 5: stage 2.

    def fine_tune(
        self,
        num_layers_unfreeze: int = CLASSIC.unfreeze,
        *,
        learning_rate: float = CLASSIC.rate_fine,
        label_smoothing: float = 0.0,
    ) -> None:
        """Unfreeze the last layers of the base, keep the earlier ones frozen, and recompile with Adam at 0.00001.

        Args:
            num_layers_unfreeze: 0 to 175; how many of the last layers of `base_model` learn. Their BatchNorm layers
                stay frozen unless the classifier was made with ``batch_norm="train"``.
            learning_rate: another rate.
            label_smoothing: the share of each target that goes to all species alike, 0-1.

        Raises:
            OrderError: there is no head yet.
            UserError: the count is outside 0-175.
        """
        self._head("fine_tune")
        self._let_learn(num_layers_unfreeze)
        self._compile(learning_rate, "fine_tune", label_smoothing)
        self._compiled_for = "fine"

    def train_fine_tuning(
        self,
        X_train: Photos,
        y_train: Labels = None,
        epochs: int = CLASSIC.epochs_fine,
        *,
        validation_data: Validation | None = None,
        validation_split: float = 0.0,
        batch_size: int = CLASSIC.batch_size,
        augment: bool | Augmentation = True,
        views: Views | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        schedule: stages.Schedule | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        verbose: int | str = "auto",
        progress: Progress | None = None,
    ) -> keras.callbacks.History:
        """Continue training with the low rate; arguments, result and errors as in `train_with_frozen_base`.

        ``schedule`` gives the rate of each step, which otherwise stays as `fine_tune` has set it.

        Raises:
            OrderError: `fine_tune` has not been called.
        """
        model = self._ready("train_fine_tuning", "fine_tune", "fine")
        return self._train(
            "fine", model, X_train, y_train, epochs=epochs, validation_data=validation_data,
            validation_split=validation_split, batch_size=batch_size, augment=augment, views=views,
            unfreeze=0, class_weight=class_weight, schedule=schedule, callbacks=callbacks, verbose=verbose,
            progress=progress,
        )  # fmt: skip

    def _train(
        self,
        stage: str,
        model: keras.Model,
        X: Photos,
        y: Labels,
        *,
        epochs: int,
        validation_data: Validation | None,
        validation_split: float,
        batch_size: int,
        augment: bool | Augmentation,
        views: Views | None,
        unfreeze: int,
        class_weight: Mapping[Any, float] | str | None,
        callbacks: Sequence[keras.callbacks.Callback] | None,
        verbose: int | str,
        progress: Progress | None,
        schedule: stages.Schedule | None = None,
    ) -> keras.callbacks.History:
        for name, value in (
            ("epochs", epochs),
            ("batch_size", batch_size),
            ("views", 1 if views in (None, "fresh") else views),
        ):
            if not isinstance(value, int | np.integer) or value < 1:
                raise UserError(f"{name} must be a whole number, 1 or more. Received: {value!r}.")
        data = self._named(self._data(X, y))
        data, validation = self._held(data, validation_data, validation_split)
        ranges = augment if isinstance(augment, Augmentation) else CLASSIC.augmentation if augment else None
        self._remember(data, validation)
        try:
            return stages.fit(
                model,
                data,
                validation,
                means=replace(self._means, progress=progress),
                epochs=epochs,
                batch_size=batch_size,
                views=views or views_per_photo(len(data)),
                augmentation=ranges,
                unfreeze=unfreeze,
                class_weight=class_weights(class_weight, data),
                schedule=schedule,
                # Every call shuffles in its own way, and the same calls in the same order shuffle alike.
                seed=self.seed + 1000 * len(self.history),
                callbacks=[EpochLog(stage, self.history), *(callbacks or ())],
                verbose=verbose,
                title={"frozen": "Training the head", "fine": "Fine-tuning"}[stage],
                checkpoint=self._checkpoint,
            )
        finally:
            self._remember(data, validation)  # again, as a callback may have saved the classifier on the way

    # Block 6: results.

    def predict_proba(self, X: Photos | ArrayLike, *, progress: Progress | None = None) -> NDArray[np.float32]:
        """The probability of each species for each photo, calibrated as soon as the classifier has been saved.

        Args:
            X: photos; see the class. Of a folder, all photos, in the order of their paths.
            progress: told how many photos are done.

        Returns:
            float32 (n, num_classes); every row adds up to 1.

        Raises:
            OrderError: nothing has been learned yet.
            UserError: the photos are unfit; a file in the folder cannot be read.
        """
        model = self._learned("predict_proba")
        if isinstance(X, str | Path):
            X = photos_in(Path(X))
        data: Dataset | NDArray[np.uint8] = X if isinstance(X, Dataset) else as_pixels(X)
        parts = []
        for start in range(0, len(data), 32):
            if isinstance(data, Dataset):
                batch = np.stack([centre(data.canvas(i)) for i in range(start, min(start + 32, len(data)))])
            else:
                batch = data[start : start + 32]
            parts.append(np.asarray(model.predict_on_batch(batch)))
            if progress:
                progress("Looking at the photos held out", start + len(batch), len(data))
        shares = np.concatenate(parts)
        return shares if self._calibration is None else tempered(shares, self._calibration.temperature)

    def predict(self, X: Photos | ArrayLike) -> NDArray[Any]:
        """The likeliest species of each photo: its name (n,) where names are known, else its label, int64 (n,)."""
        labels: NDArray[Any] = self.predict_proba(X).argmax(axis=1)
        return labels if self.classes is None else np.array(self.classes)[labels]

    def evaluate(self, X: Photos, y: Labels = None) -> dict[str, Any]:
        """Measure the classifier on photos it has not been trained on.

        Returns:
            What `leafgraft.verdict.metrics.score` returns: accuracy with its 95 % interval, macro F1 and more.
        """
        self._learned("evaluate")
        data = self._data(X, y, side="test")
        return score(data.labels, self.predict_proba(data), groups=data.groups)

    def fit(
        self,
        X_train: Photos,
        y_train: Labels = None,
        *,
        recipe: Recipe = CLASSIC,
        validation_data: Validation | None = None,
        validation_split: float = 0.0,
        views: Views | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        on_probe: Callable[[], None] = lambda: None,
        verbose: int | str = "auto",
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> PlantClassifierTransferLearning:
        """The whole walk by a recipe; with the classic one a second call goes on where the first one ended.

        Args:
            X_train: photos; see the class.
            y_train: their labels; see the class.
            recipe: settings of both stages; a stage of 0 epochs is left out.
            validation_data: as in `train_with_frozen_base`, and so are the others.
            validation_split: a fraction, 0-1.
            views: as in `train_with_frozen_base`.
            class_weight: a mapping, or "balanced".
            callbacks: Keras callbacks.
            on_probe: called whenever a probe is ready, in recipes that begin with one.
            verbose: as in Keras' ``fit``.
            progress: told how far the frozen layers are computed.
            checkpoint: keeps the state of the training on disk; where it has one, a new classifier goes on from there.

        Returns:
            The classifier itself.
        """
        data = self._named(self._data(X_train, y_train))
        held = self._held(data, validation_data, validation_split)
        self._remember(*held)
        self._checkpoint = checkpoint
        if checkpoint:
            if found := checkpoint.take("history"):
                self.history[:] = found.facts["lines"]
            checkpoint.keep("history", lambda: Part({"lines": self.history}))
        try:
            self._walk(
                *held, recipe, views=views, class_weight=class_weight, callbacks=callbacks or (),
                on_probe=on_probe, verbose=verbose, progress=progress,
            )  # fmt: skip
        finally:
            self._checkpoint = None
        return self

    def _walk(
        self,
        data: Dataset,
        validation: Dataset | None,
        recipe: Recipe,
        *,
        on_probe: Callable[[], None],
        **rest: Any,
    ) -> None:
        """The steps of a recipe."""
        if recipe.head == "linear":
            from leafgraft.climb import climb

            climb(self, data, validation, recipe, on_probe=on_probe, checkpoint=self._checkpoint, **rest)
            return
        rest |= {"validation_data": validation, "batch_size": recipe.batch_size, "augment": recipe.augmentation}
        self.freeze_base_model()
        if self.model is None or self._has_linear_head(self.model):
            self.add_custom_head()
        self.compile_transfer_learning(learning_rate=recipe.rate_frozen)
        if recipe.epochs_frozen:
            ahead = recipe.unfreeze if recipe.epochs_fine else 0
            self.train_with_frozen_base(data, epochs=recipe.epochs_frozen, unfreeze=ahead, **rest)
        if recipe.epochs_fine:
            self.fine_tune(recipe.unfreeze, learning_rate=recipe.rate_fine)
            self.train_fine_tuning(data, epochs=recipe.epochs_fine, **rest)

    def compare_with_scratch(
        self,
        X_train: Photos,
        y_train: Labels = None,
        *,
        test_data: Validation | None = None,
        recipe: Recipe = CLASSIC,
        equal: Equal = "seconds",
        progress: Progress | None = None,
    ) -> Comparison:
        """Train two new classifiers on the same photos, from ImageNet and from random weights, and compare them.

        This classifier itself stays as it is.

        Args:
            X_train: photos; see the class.
            y_train: their labels; see the class.
            test_data: ``(X, y)`` or a folder to judge both on; by default a quarter of each species of ``X_train``.
            recipe: settings of the transfer.
            equal: "seconds" gives the scratch training the wall-clock time that the transfer took, "epochs" its number
                of epochs.
            progress: told how far each lasting step is.

        Returns:
            Curves, accuracies with intervals, their difference with its interval, and a sentence.
        """
        from leafgraft import comparison

        data = self._data(X_train, y_train)
        if test_data is None:
            data, test = data.divide(0.25, self.seed)
        else:
            test = self._data(*(test_data if isinstance(test_data, tuple) else (test_data,)), side="test")
        return comparison.compare(
            data, test, recipe=recipe, equal=equal, seed=self.seed, weights=self._weights, progress=progress
        )

    def save(self, path: str | Path, *, card: str = "", progress: Progress | None = None) -> Path:
        """Write the classifier as a bundle; see `leafgraft.bundle`.

        The photos of the last training go into it as what is known. Where that training had validation photos, the
        probabilities are calibrated on them, and so is the distance from which on a photo is called unknown.

        Args:
            path: a folder that does not exist yet, or an earlier bundle, which is replaced.
            card: what there is to say about the classifier, as Markdown.
            progress: told how far each lasting step is.

        Returns:
            The folder.
        """
        with self.drafted(path, progress=progress) as draft:
            draft.card = card
            if self._watched is not None and self._calibration is None:
                draft.calibrate(*draft.seen(self._watched, progress), self._watched.labels)
        return Path(path)

    @contextmanager
    def drafted(self, path: str | Path, *, progress: Progress | None = None) -> Iterator[Draft]:
        """Save the classifier, and let the block measure and calibrate it before; see `leafgraft.bundle.drafted`."""
        from leafgraft import bundle

        model = self._learned("save")
        if self._known is None:
            self._known = self._remembered(progress)
            release_memory()
        with bundle.drafted(Path(path), model, self.classes or unnamed(self.num_classes), self._known) as draft:
            draft.calibration = self._calibration or draft.calibration
            yield draft
        self._calibration = draft.calibration

    @classmethod
    def load(cls, path: str | Path, **settings: Any) -> PlantClassifierTransferLearning:
        """Read a classifier that `save` or ``leafgraft train`` wrote.

        Args:
            path: a bundle, or the folder of a run.
            settings: ``batch_norm``, ``seed``, ``bank``, ``bank_gb`` and ``engine``, as for the class.

        Raises:
            UserError: there is none, or it is damaged.
        """
        from leafgraft import opening

        folder = opening.find(path)
        opening.verify(folder)
        classes = opening.labels(folder)
        names = None if classes == unnamed(len(classes)) else classes
        model = network.without_xla(opening.keras_model(folder))
        classifier = cls(len(classes), weights=None, class_names=names, **settings)
        classifier.model, classifier.base_model = model, network.base_of(model)
        classifier._loaded = True
        classifier._known, classifier._calibration = opening.known(folder), opening.calibration(folder)
        return classifier

    def summary(self) -> str:
        """Say in a few lines what there is and what of it learns; prints and returns them."""
        lines = network.described(self.base_model, self.model)
        if self.classes:
            lines.append(f"species: {', '.join(self.classes)}")
        lines.append(f"trained: {len(self.history)} epochs")
        text = "\n".join(lines)
        print(text)
        return text

    def plot_history(self, path: str | Path = "curves.png") -> Path:
        """Draw accuracy and loss over both stages into a PNG file.

        Raises:
            OrderError: nothing has been trained yet.
        """
        if not self.history:
            raise OrderError("Call train_with_frozen_base() before plot_history(): there is no history yet.")
        return plots.curves(self.history, Path(path))

    # What the steps share.

    def _let_learn(self, count: int) -> None:
        """Let the last layers of the base learn, and no others."""
        if any(layer.trainable for layer in self.base_model.layers):
            self._crops.clear()  # they may have learned since
        network.unfreeze_last(self.base_model, count, self.batch_norm)
        self._unfrozen = int(count)

    def _head(self, caller: str, before: str = "add_custom_head") -> keras.Model:
        if self.model is None:
            raise OrderError(f"Call {before}() before {caller}(): there is no model yet.")
        return self.model

    def _has_linear_head(self, model: keras.Model) -> bool:
        return bool(model.get_layer("probabilities").kernel.shape[0] == self.base_model.output.shape[-1])

    def _held(
        self, data: Dataset, validation_data: Validation | None, validation_split: float
    ) -> tuple[Dataset, Dataset | None]:
        """The photos to train on, and those to look at after each epoch."""
        if validation_data is not None:
            pair = validation_data if isinstance(validation_data, tuple) else (validation_data,)
            return data, self._data(*pair, side="val")
        return data.divide(validation_split, self.seed) if validation_split else (data, None)

    def _named(self, data: Dataset) -> Dataset:
        """Take over the names of the species that are trained on."""
        if data.classes != unnamed(self.num_classes):
            self.classes = data.classes
        return data

    def _remember(self, data: Dataset, validation: Dataset | None) -> None:
        """Note what was learned from, and forget what that makes untrue."""
        self._learned_from, self._watched = data, validation
        self._known = self._calibration = None

    def _remembered(self, progress: Progress | None) -> Known:
        """The photos of the last training, as the classifier sees them now."""
        data = self._learned_from
        if data is None:  # it was trained with Keras' own means
            return Known.of(np.zeros((0, 2048), np.float32), np.zeros(0, np.int64), ())
        data = data.subset(some_of_each(data.labels, self.seed))
        paths = (
            ("",) * len(data) if isinstance(data.source, np.ndarray) else tuple(str(p.absolute()) for p in data.source)
        )
        return Known.of(self.features(data, progress=progress), data.labels, paths)

    def _learned(self, caller: str) -> keras.Model:
        model = self._head(caller)
        stepped = model.compiled and int(model.optimizer.iterations) > 0  # also by the user's own model.fit
        if not (self.history or self._loaded or stepped):
            raise OrderError(f"Call train_with_frozen_base() before {caller}(): the head has not learned anything yet.")
        return model

    def _compile(self, rate: float, caller: str, label_smoothing: float = 0.0) -> None:
        model = self._head(caller)
        model.compile(
            keras.optimizers.Adam(learning_rate=rate),
            keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
            metrics=["accuracy"],
            jit_compile=False,  # see network.without_xla
        )

    def _ready(self, caller: str, before: str, stage: str) -> keras.Model:
        model = self._head(caller)
        if self._compiled_for != stage:
            raise OrderError(f"Call {before}() before {caller}(): the model is not compiled for it.")
        return model

    def _data(self, X: Photos, y: Labels = None, *, side: Side = "train") -> Dataset:
        data = as_dataset(X, y, self.num_classes, self.classes, side=side)
        if self.classes is None and side != "train" and data.classes != unnamed(self.num_classes):
            raise UserError(
                "This classifier was trained on numbers and knows no names: pass integers or one-hot labels, or make "
                "it with class_names."
            )
        return data
