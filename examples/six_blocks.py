"""The six blocks of transfer learning, in order, with the calls of the class alone.

    python examples/six_blocks.py                       # on plants that the program draws
    python examples/six_blocks.py my-photos -o results  # on a folder with a folder of photos per species

By default it trains on few photos for few epochs, to be done in a minute or two; the full schedule is
``--epochs-frozen 10 --epochs-fine 20``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft import PlantClassifierTransferLearning
from leafgraft.photos import Photo, centre, load_canvas, scan
from leafgraft.photos.garden import SPECIES, draw, grow
from leafgraft.photos.split import split
from leafgraft.report.plots import sample_prediction


def main(arguments: list[str] | None = None) -> None:
    """Walk the six blocks."""
    parser = argparse.ArgumentParser(description="The six blocks of transfer learning, in order.")
    parser.add_argument("photos", nargs="?", type=Path, help="a folder with a folder of photos per species")
    parser.add_argument("-o", "--output", type=Path, default=Path("six-blocks"), help="where pictures go")
    parser.add_argument("--per-species", type=int, default=12, help="drawn photos of each kind")
    parser.add_argument("--epochs-frozen", type=int, default=10)
    parser.add_argument("--epochs-fine", type=int, default=2)
    options = parser.parse_args(arguments)
    folder = options.photos or grow(options.output / "garden", options.per_species)
    photos = [photo for photo in split(scan(folder), val=0.25, test=0.0, seed=0) if not photo.problem]
    names = sorted({photo.label for photo in photos})

    print("\nBlock 1. The backbone: ResNet50 with ImageNet weights, every layer frozen")
    classifier = PlantClassifierTransferLearning(num_classes=len(names), class_names=names)
    classifier.freeze_base_model()
    print(f"{len(classifier.base_model.layers)} layers, of which {count_learning(classifier.base_model.layers)} learn")

    print("\nBlock 2. The custom head")
    classifier.add_custom_head()
    assert classifier.model is not None
    for layer in classifier.model.layers[-5:]:
        print(f"{layer.name:>16}  {layer.output.shape}")

    print("\nBlock 3. Compile, and the data")
    classifier.compile_transfer_learning()
    X_train, y_train = arrays([photo for photo in photos if photo.split == "train"])
    X_val, y_val = arrays([photo for photo in photos if photo.split == "val"])
    print(f"to train on: {X_train.shape} {X_train.dtype}; to validate: {X_val.shape}; species: {', '.join(names)}")

    print("\nBlock 4. Stage 1: only the head learns")
    validation = (X_val, y_val)
    classifier.train_with_frozen_base(
        X_train, y_train, epochs=options.epochs_frozen, validation_data=validation, verbose=2
    )

    print("\nBlock 5. Stage 2: the last 50 layers are unfrozen and gently fine-tuned")
    classifier.fine_tune(num_layers_unfreeze=50)
    classifier.summary()
    classifier.train_fine_tuning(X_train, y_train, epochs=options.epochs_fine, validation_data=validation, verbose=2)

    print("\nBlock 6. Pictures and results")
    curves = classifier.plot_history(options.output / "curves.png")
    if options.photos:
        sample, truth = X_val[0], str(y_val[0])
    else:
        truth = SPECIES[0]
        draw(truth, seed=987_654_321).save(options.output / "sample.jpg")
        sample = centre(load_canvas(options.output / "sample.jpg"))
    probabilities = classifier.predict_proba(sample[np.newaxis])[0]
    label = int(probabilities.argmax())
    picture = sample_prediction(sample, probabilities, names, options.output / "sample.png", truth=truth)
    print("probabilities:", ", ".join(f"{name} {p:.3f}" for name, p in zip(names, probabilities, strict=True)))
    print(f"class {label}, by name {names[label]}; the photo shows {truth}")
    print(f"the curves: {curves}; the sample: {picture}")


def arrays(photos: list[Photo]) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Photos as uint8 (n, 224, 224, 3), RGB, and their species by name (n,)."""
    pixels = np.stack([centre(load_canvas(photo.path)) for photo in photos])
    return pixels, np.array([photo.label for photo in photos])


def count_learning(layers: list[Any]) -> int:
    """How many layers learn."""
    return sum(layer.trainable for layer in layers)


if __name__ == "__main__":
    main()
