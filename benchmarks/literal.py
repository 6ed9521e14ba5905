"""The literal recipe, as the textbook has it: Keras, ``ImageDataGenerator`` and ``fit``; nothing is weakened.

python -m benchmarks.literal TRAIN.csv TEST.csv WEIGHTS.npz [--seed 0] [--epochs 10 20]

Prints a JSON line an epoch: seconds since the start, looking at the test photos not counted, and accuracy on them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np


def photos_of(listing: Path) -> tuple[Any, Any]:
    """Load the photos of a CSV with the columns path and number of the class, as float32 RGB 0-255."""
    from keras.utils import img_to_array, load_img

    lines = [line.rsplit(",", 1) for line in listing.read_text(encoding="utf-8").splitlines()]
    pixels = np.stack([img_to_array(load_img(path, target_size=(224, 224))) for path, _ in lines])
    return pixels, np.array([int(label) for _, label in lines])


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("weights", type=Path, help="ResNet50 without its top, an .npz of the cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, nargs=2, default=(10, 20))
    arguments = parser.parse_args()
    start = time.perf_counter()

    import keras
    import tensorflow as tf
    from keras.applications.resnet50 import preprocess_input

    keras.utils.set_random_seed(arguments.seed)
    x_train, y_train = photos_of(arguments.train)
    x_test, y_test = photos_of(arguments.test)
    classes = int(y_train.max()) + 1
    one_hot = keras.utils.to_categorical(y_train, classes)
    x_ready = preprocess_input(x_test.copy())

    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(224, 224, 3))
    with np.load(arguments.weights) as file:
        for layer in base.layers:
            if layer.weights:
                layer.set_weights([file[f"{layer.name}/{weight.name}"] for weight in layer.weights])
    base.trainable = False
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    x = keras.layers.Dense(512, activation="relu")(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Dense(256, activation="relu")(x)
    model = keras.Model(base.input, keras.layers.Dense(classes, activation="softmax")(x))
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rotation_range=20,
        width_shift_range=0.2,
        height_shift_range=0.2,
        horizontal_flip=True,
        preprocessing_function=preprocess_input,
    )
    epoch, paused = 0, 0.0

    def told(_: int, logs: Any) -> None:
        nonlocal epoch, paused
        epoch += 1
        seconds = time.perf_counter() - start - paused
        begun = time.perf_counter()
        accuracy = float((model.predict(x_ready, verbose=0).argmax(axis=1) == y_test).mean())
        paused += time.perf_counter() - begun  # looking at the test photos is no part of the recipe
        print(json.dumps({"epoch": epoch, "seconds": seconds, "accuracy": accuracy}), flush=True)

    for rate, epochs in zip((1e-3, 1e-5), arguments.epochs, strict=True):
        if rate == 1e-5:
            base.trainable = True
            for layer in base.layers[:-50]:
                layer.trainable = False
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            generator.flow(x_train, one_hot, batch_size=32, seed=arguments.seed),
            epochs=epochs,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=told)],
        )


if __name__ == "__main__":
    main()
