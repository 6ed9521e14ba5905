"""The class of the contract, on drawn plants and real weights."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from leafgraft import OrderError, PlantClassifierTransferLearning, UserError, bundle
from leafgraft.bundle import Bundle
from leafgraft.photos import centre
from leafgraft.photos.garden import draw

NAMES = ["cactus", "fern", "sunflower"]

Pictures = tuple[NDArray[np.uint8], NDArray[np.str_]]


def pictures(numbers: range) -> Pictures:
    """Drawn plants of three kinds, (n, 224, 224, 3), and their names."""
    from leafgraft.photos import canvas

    names = [name for name in NAMES for _ in numbers]
    pixels = [centre(canvas(draw(name, seed))) for name in NAMES for seed in numbers]
    return np.stack(pixels), np.array(names)


@pytest.fixture(scope="module")
def photos() -> Pictures:
    return pictures(range(6))


@pytest.fixture(scope="module")
def held_out() -> Pictures:
    return pictures(range(100, 104))


@pytest.fixture(scope="module")
def walked(weights: Path, bank: Path, photos: Pictures, held_out: Pictures) -> PlantClassifierTransferLearning:
    """A classifier that has walked both stages by the calls of the contract."""
    classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank)
    classifier.freeze_base_model()
    classifier.add_custom_head()
    classifier.compile_transfer_learning()
    first = classifier.train_with_frozen_base(photos[0], photos[1], epochs=6, validation_data=held_out, verbose=0)
    classifier.fine_tune(num_layers_unfreeze=10)
    second = classifier.train_fine_tuning(photos[0], photos[1], epochs=2, validation_data=held_out, verbose=0)
    assert isinstance(first, keras.callbacks.History)
    assert isinstance(second, keras.callbacks.History)
    assert len(first.history["val_accuracy"]) == 6
    assert len(second.history["loss"]) == 2
    return classifier


@pytest.fixture
def random_classifier(bank: Path) -> PlantClassifierTransferLearning:
    """With random weights, for what does not depend on them."""
    return PlantClassifierTransferLearning(num_classes=3, weights=None, bank=bank)


def test_names_order_and_defaults_are_those_of_the_contract() -> None:
    cls = PlantClassifierTransferLearning
    assert inspect.signature(cls).parameters["num_classes"].default == 10
    assert inspect.signature(cls.train_with_frozen_base).parameters["epochs"].default == 10
    assert inspect.signature(cls.fine_tune).parameters["num_layers_unfreeze"].default == 50
    assert inspect.signature(cls.train_fine_tuning).parameters["epochs"].default == 20
    for method in (cls.train_with_frozen_base, cls.train_fine_tuning):
        assert list(inspect.signature(method).parameters)[:4] == ["self", "X_train", "y_train", "epochs"]
        defaults = {name: parameter.default for name, parameter in inspect.signature(method).parameters.items()}
        assert defaults["batch_size"] == 32
        assert defaults["augment"] is True
        assert defaults["class_weight"] is None


def test_it_learns(walked: PlantClassifierTransferLearning, held_out: Pictures) -> None:
    X, y = held_out
    figures = walked.evaluate(X, y)
    assert figures["accuracy"] > 0.8
    assert figures["n"] == 12
    probabilities = walked.predict_proba(X)
    assert probabilities.shape == (12, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert walked.classes == ("cactus", "fern", "sunflower")
    assert (walked.predict(X) == y).mean() == pytest.approx(figures["accuracy"])


def test_one_history_over_both_stages(walked: PlantClassifierTransferLearning, tmp_path: Path) -> None:
    assert [row["epoch"] for row in walked.history] == list(range(1, 9))
    assert [row["stage"] for row in walked.history] == ["frozen"] * 6 + ["fine"] * 2
    assert walked.history[0]["learning_rate"] == pytest.approx(1e-3)
    assert walked.history[-1]["learning_rate"] == pytest.approx(1e-5)
    assert walked.plot_history(tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_saved_and_loaded_it_answers_the_same(
    walked: PlantClassifierTransferLearning, held_out: Pictures, tmp_path: Path
) -> None:
    folder = walked.save(tmp_path / "model")
    again = PlantClassifierTransferLearning.load(folder)
    np.testing.assert_allclose(again.predict_proba(held_out[0]), walked.predict_proba(held_out[0]), atol=1e-6)
    assert again.classes == walked.classes
    assert len(again.base_model.layers) == 175
    saved = Bundle(again.save(tmp_path / "again"), batch=4)  # with all that it knows
    assert saved.calibration == bundle.calibration(folder) != bundle.Calibration()
    assert saved.calibration.photos == 12
    known = bundle.known(folder)
    assert saved.known.paths == known.paths == ("",) * 18  # arrays lie nowhere
    np.testing.assert_array_equal(saved.known.features, known.features)
    np.testing.assert_array_equal(saved.known.labels, np.repeat(np.arange(3), 6))
    answers = saved.answer(held_out[0])
    np.testing.assert_allclose(answers.probabilities, walked.predict_proba(held_out[0]), atol=1e-5)
    assert not answers.unknown.all()
    again.fine_tune(10)  # one can go on from there
    assert again.model is not None
    assert len(again.model.trainable_weights) == 3 * 2 + 3 * 2


def pooled(classifier: PlantClassifierTransferLearning, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features by Keras alone."""
    assert classifier.model is not None
    model = keras.Model(classifier.model.input, classifier.model.get_layer("pool").output)
    return np.asarray(model(pixels.astype(np.float32), training=False), np.float32)


@pytest.mark.slow
def test_features_are_those_of_the_model_as_it_is(weights: Path, bank: Path, held_out: Pictures) -> None:
    X, y = held_out[0][::3], held_out[1][::3]
    classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank)
    classifier.freeze_base_model()
    first = classifier.features(X)
    assert first.shape == (4, 2048)
    classifier.add_custom_head()
    np.testing.assert_allclose(first, pooled(classifier, X), atol=0.02)
    classifier.fine_tune(10, learning_rate=1e-3)
    classifier.train_fine_tuning(X, y, epochs=2, augment=False, verbose=0)
    expected = pooled(classifier, X)
    assert np.abs(expected - first).max() > 0.1
    np.testing.assert_allclose(classifier.features(X), expected, atol=0.02)
    classifier.fine_tune(0)  # what was known of the frozen base is no longer true
    np.testing.assert_allclose(classifier.features(X), expected, atol=0.02)


@pytest.mark.slow
def test_one_pass_for_both_stages_changes_nothing_in_the_first(
    weights: Path, bank: Path, photos: Pictures, held_out: Pictures
) -> None:
    def trained(unfreeze: int) -> tuple[list[dict[str, Any]], list[NDArray[np.float32]]]:
        classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank, engine="fp32")
        classifier.freeze_base_model()
        classifier.add_custom_head()
        classifier.compile_transfer_learning()
        classifier.train_with_frozen_base(
            *photos, epochs=3, validation_data=held_out, views=2, unfreeze=unfreeze, verbose=0
        )
        assert classifier.model is not None
        return classifier.history, [layer.kernel.numpy() for layer in classifier.model.layers[-2:]]

    (plain, plain_kernels), (ahead, ahead_kernels) = trained(0), trained(10)
    for one, other in zip(plain, ahead, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.02)
        assert other["val_loss"] == pytest.approx(one["val_loss"], rel=0.02)
    for kernel, same in zip(plain_kernels, ahead_kernels, strict=True):
        np.testing.assert_allclose(kernel, same, atol=2e-3)


def test_batch_norm_stays_bit_identical_in_fine_tuning(weights: Path, bank: Path, photos: Pictures) -> None:
    classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank)
    classifier.add_custom_head()
    classifier.fine_tune(50)
    norms = [layer for layer in classifier.base_model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 53
    kernel = classifier.base_model.get_layer("conv5_block3_3_conv").kernel
    before, kernel_before = [layer.get_weights() for layer in norms], kernel.numpy()
    X, y = photos
    classifier.train_fine_tuning(X[::3], y[::3], epochs=1, verbose=0)
    for layer, old in zip(norms, before, strict=True):
        for new_array, old_array in zip(layer.get_weights(), old, strict=True):
            assert new_array.tobytes() == old_array.tobytes(), layer.name
    assert not np.array_equal(kernel.numpy(), kernel_before)


def test_batch_norm_moves_when_asked_to(weights: Path, bank: Path, photos: Pictures) -> None:
    classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank, batch_norm="train")
    classifier.add_custom_head()
    classifier.fine_tune(10)
    last = classifier.base_model.get_layer("conv5_block3_3_bn")
    first = classifier.base_model.get_layer("conv1_bn")
    before = last.moving_mean.numpy(), first.moving_mean.numpy()
    classifier.train_fine_tuning(photos[0], photos[1], epochs=1, verbose=0)
    assert not np.array_equal(last.moving_mean.numpy(), before[0])
    assert np.array_equal(first.moving_mean.numpy(), before[1])  # it lies below the cut


@pytest.mark.parametrize("count", [pytest.param(0, marks=pytest.mark.slow), 1, 10])
def test_only_the_unfrozen_layers_change(
    random_classifier: PlantClassifierTransferLearning, photos: Pictures, count: int
) -> None:
    classifier = random_classifier
    classifier.add_custom_head()
    classifier.fine_tune(count)
    before = [layer.get_weights() for layer in classifier.base_model.layers]
    X, y = photos
    classifier.train_fine_tuning(X[::3], y[::3], epochs=1, augment=False, verbose=0)
    for position, (layer, old) in enumerate(zip(classifier.base_model.layers, before, strict=True)):
        changed = any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), old, strict=True))
        learns = position >= 175 - count and isinstance(layer, keras.layers.Conv2D)
        assert changed == learns, layer.name


def test_suffix_training_is_that_of_the_whole_model(photos: Pictures, tmp_path: Path) -> None:
    """One step from the bank changes the weights as one step of Keras' own fit through all layers does."""
    X, y = photos[0][::3], np.repeat(np.arange(3), 2)
    classifier = PlantClassifierTransferLearning(num_classes=3, weights=None, bank=tmp_path, engine="fp32")
    classifier.add_custom_head()
    assert classifier.model is not None
    classifier.model.get_layer("head_dropout").rate = 0.0
    classifier.fine_tune(10, learning_rate=1e-3)
    start = classifier.model.get_weights()
    classifier.model.fit(X.astype(np.float32), np.eye(3)[y], batch_size=6, epochs=1, verbose=0)
    whole = classifier.model.get_weights()
    classifier.model.set_weights(start)
    classifier.fine_tune(10, learning_rate=1e-3)
    classifier.train_fine_tuning(X, y, epochs=1, augment=False, verbose=0)
    steps = [(a - s, b - s) for a, b, s in zip(whole, classifier.model.get_weights(), start, strict=True)]
    a, b = (np.concatenate([step[side].ravel() for step in steps]) for side in (0, 1))
    # The first step of Adam is the sign of the gradient times the rate: half precision may turn the smallest signs.
    assert float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) > 0.99


@pytest.mark.slow
def test_the_same_calls_give_the_same_figures(bank: Path, weights: Path, photos: Pictures) -> None:
    def losses(seed: int) -> list[float]:
        classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank, seed=seed)
        classifier.freeze_base_model()
        classifier.add_custom_head()
        classifier.compile_transfer_learning()
        losses: list[float] = classifier.train_with_frozen_base(photos[0], photos[1], epochs=3, verbose=0).history[
            "loss"
        ]
        return losses

    assert losses(1) == pytest.approx(losses(1), rel=1e-4)
    assert losses(1) != pytest.approx(losses(2), rel=1e-4)


class TestOrder:
    """Each method says which one comes first."""

    def test_no_head(self, random_classifier: PlantClassifierTransferLearning, photos: Pictures) -> None:
        X, y = photos
        calls: list[Callable[[], object]] = [
            lambda: random_classifier.compile_transfer_learning(),
            lambda: random_classifier.train_with_frozen_base(X, y),
            lambda: random_classifier.fine_tune(),
            lambda: random_classifier.train_fine_tuning(X, y),
            lambda: random_classifier.predict(X),
            lambda: random_classifier.evaluate(X, y),
            lambda: random_classifier.save("nowhere"),
        ]
        for call in calls:
            with pytest.raises(OrderError, match=r"Call add_custom_head\(\) before"):
                call()

    def test_not_compiled(self, random_classifier: PlantClassifierTransferLearning, photos: Pictures) -> None:
        random_classifier.freeze_base_model()
        random_classifier.add_custom_head()
        with pytest.raises(OrderError, match=r"Call compile_transfer_learning\(\) before train_with_frozen_base"):
            random_classifier.train_with_frozen_base(photos[0], photos[1])
        with pytest.raises(OrderError, match=r"Call fine_tune\(\) before train_fine_tuning"):
            random_classifier.train_fine_tuning(photos[0], photos[1])
        with pytest.raises(OrderError, match=r"train_with_frozen_base\(\) before plot_history"):
            random_classifier.plot_history()

    def test_not_frozen(self, random_classifier: PlantClassifierTransferLearning, photos: Pictures) -> None:
        random_classifier.add_custom_head()
        random_classifier.compile_transfer_learning()
        with pytest.raises(OrderError, match=r"Call freeze_base_model\(\) before train_with_frozen_base"):
            random_classifier.train_with_frozen_base(photos[0], photos[1])

    def test_compiled_for_the_other_stage(
        self, random_classifier: PlantClassifierTransferLearning, photos: Pictures
    ) -> None:
        random_classifier.add_custom_head()
        random_classifier.fine_tune(0)
        with pytest.raises(OrderError, match=r"Call compile_transfer_learning\(\)"):
            random_classifier.train_with_frozen_base(photos[0], photos[1])


class TestKeywords:
    """What may be passed besides the contract's arguments; with the head alone, from the bank of the others."""

    @pytest.fixture
    def ready(self, weights: Path, bank: Path) -> PlantClassifierTransferLearning:
        classifier = PlantClassifierTransferLearning(num_classes=3, weights=weights, bank=bank)
        classifier.freeze_base_model()
        classifier.add_custom_head()
        classifier.compile_transfer_learning()
        return classifier

    def test_labels_in_all_forms(self, ready: PlantClassifierTransferLearning, photos: Pictures) -> None:
        X, names = photos
        numbers = np.repeat(np.arange(3), 6)
        for y in (list(names), numbers, np.eye(3)[numbers]):
            assert ready.train_with_frozen_base(X, y, epochs=1, verbose=0).history["accuracy"]
        assert ready.classes == tuple(NAMES)
        assert len(ready.history) == 3

    def test_validation_split(self, ready: PlantClassifierTransferLearning, photos: Pictures) -> None:
        history = ready.train_with_frozen_base(photos[0], photos[1], epochs=1, validation_split=0.34, verbose=0)
        assert history.history["val_accuracy"]

    def test_callbacks_see_the_whole_model_and_may_stop_it(
        self, ready: PlantClassifierTransferLearning, photos: Pictures
    ) -> None:
        seen = []

        class Stop(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                seen.append(self.model)
                self.model.stop_training = epoch == 1

        history = ready.train_with_frozen_base(photos[0], photos[1], epochs=9, callbacks=[Stop()], verbose=0)
        assert len(history.history["loss"]) == 2
        assert all(model is ready.model for model in seen)

    def test_what_a_callback_saved_does_not_outlive_the_training(
        self, ready: PlantClassifierTransferLearning, photos: Pictures
    ) -> None:
        class Save(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                ready._calibration = bundle.Calibration(3.0)  # as `save` leaves it, which takes longer

        ready.train_with_frozen_base(*photos, epochs=1, callbacks=[Save()], verbose=0)
        assert ready._calibration is None

    def test_callbacks_may_change_the_rate(self, ready: PlantClassifierTransferLearning, photos: Pictures) -> None:
        def halved(epoch: int, rate: float) -> float:
            return rate / 2

        schedule = keras.callbacks.LearningRateScheduler(halved)
        ready.train_with_frozen_base(photos[0], photos[1], epochs=2, callbacks=[schedule], verbose=0)
        assert [row["learning_rate"] for row in ready.history] == pytest.approx([5e-4, 2.5e-4])

    def test_class_weight(self, ready: PlantClassifierTransferLearning, photos: Pictures) -> None:
        X, y = photos
        some = np.r_[0:6, 6:9, 12:14]
        for weight in ("balanced", {"fern": 3.0}, {0: 0.5, 2: 2.0}):
            ready.train_with_frozen_base(X[some], y[some], epochs=1, class_weight=weight, verbose=0)
        with pytest.raises(UserError, match="class_weight names 'tulip'"):
            ready.train_with_frozen_base(X, y, class_weight={"tulip": 1.0}, verbose=0)

    @pytest.mark.slow
    @pytest.mark.slow
    def test_weight_zero_takes_a_species_out(self, ready: PlantClassifierTransferLearning, photos: Pictures) -> None:
        ready.train_with_frozen_base(
            photos[0], photos[1], epochs=5, class_weight={"fern": 0.0}, augment=False, verbose=0
        )
        assert "fern" not in ready.predict(photos[0])

    @pytest.mark.parametrize("name", ["epochs", "batch_size"])
    def test_counts(self, ready: PlantClassifierTransferLearning, photos: Pictures, name: str) -> None:
        with pytest.raises(UserError, match=rf"{name} must be a whole number, 1 or more\. Received: 0"):
            ready.train_with_frozen_base(photos[0], photos[1], **{name: 0})  # type: ignore[arg-type]

    def test_folder_that_names_its_species(self, ready: PlantClassifierTransferLearning, tmp_path: Path) -> None:
        for name in NAMES:
            (tmp_path / name).mkdir()
            for seed in range(3):
                draw(name, seed, (80, 64)).save(tmp_path / name / f"{seed}.png")
        ready.train_with_frozen_base(tmp_path, epochs=1, augment=False, verbose=0)
        assert ready.classes == tuple(NAMES)
        assert ready.predict_proba(tmp_path).shape == (9, 3)

    def test_given_test_folder_is_not_trained_on(self, ready: PlantClassifierTransferLearning, tmp_path: Path) -> None:
        for side, count in (("train", 2), ("test", 1)):
            for name in NAMES:
                (tmp_path / side / name).mkdir(parents=True)
                for seed in range(count):
                    draw(name, seed + 50 * (side == "test"), (80, 64)).save(tmp_path / side / name / f"{seed}.png")
        data = ready._data(tmp_path)
        assert len(data) == 6
        ready.train_with_frozen_base(data, epochs=1, augment=False, verbose=0)
        assert ready.evaluate(tmp_path)["n"] == 3


def test_bad_settings() -> None:
    with pytest.raises(UserError, match=r"num_classes must be a whole number, 2 or more species\. Received: 1"):
        PlantClassifierTransferLearning(num_classes=1)
    with pytest.raises(UserError, match="batch_norm must be"):
        PlantClassifierTransferLearning(batch_norm="melt")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="2 class_names for num_classes=3"):
        PlantClassifierTransferLearning(3, class_names=["a", "b"])


def test_summary(walked: PlantClassifierTransferLearning, capsys: pytest.CaptureFixture[str]) -> None:
    text = walked.summary()
    assert capsys.readouterr().out.strip() == text
    assert "175 layers" in text
    assert "cactus, fern, sunflower" in text
    assert "trained: 8 epochs" in text


def test_importing_says_nothing_and_sets_tensorflow_up() -> None:
    script = (
        "from leafgraft import PlantClassifierTransferLearning\n"
        "from tensorflow.python.util import _pywrap_util_port as port\n"
        "print(port.IsMklEnabled())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize(
    ("names", "reason"), [(["a", "a"], "hold 'a' twice"), (["a", "b\x07"], "control"), (["a", ""], "no name")]
)
def test_names_that_no_saved_classifier_could_have(names: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=f"class_names .*{reason}.*a name of its own"):
        PlantClassifierTransferLearning(2, weights=None, class_names=names)
