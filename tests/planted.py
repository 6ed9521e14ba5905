"""A data set of TensorFlow Datasets, of photos that a test names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

KINDS = ("cactus", "fern", "Rosa/alba")


class PlantedPlants(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """Photos in ``source``/SPLIT/KIND/, with a test split without labels in the configuration "blind"."""

    VERSION = tfds.core.Version("1.2.0")
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in ("plain", "blind")]
    source: ClassVar[Path]

    def _info(self) -> Any:
        features = tfds.features
        return tfds.core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict(
                {
                    "image": features.Image(),
                    "label": features.ClassLabel(names=KINDS),
                    "name": features.Text(),
                    "number": features.Scalar(np.int32),
                    "height": features.Scalar(np.float32),
                    "mask": features.LabeledImage(labels=2, shape=(None, None, 1)),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, path in enumerate(sorted((self.source / split).rglob("*.jpg"))):
            blind = split == "test" and self.builder_config.name == "blind"
            kind = KINDS.index(path.parent.name) if path.parent.name in KINDS else 2
            yield (
                number,
                {
                    "image": path,
                    "label": -1 if blind else kind,
                    "name": path.parent.name,
                    "number": kind,
                    "height": 0.5,
                    "mask": np.zeros((2, 2, 1), np.uint8),
                },
            )
