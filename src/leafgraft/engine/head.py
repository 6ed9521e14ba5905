"""The head of a classifier in NumPy: how its scores change with the features, which heat maps need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.probe import ROOT_SHIFT
from leafgraft.safety.archive import arrays, require_finite, require_kinds

Array = NDArray[np.float32]

MOST_BYTES = 1_000_000_000
"""Of a file with a head: more than one of 2,048 features and 100,000 species has."""


@dataclass(frozen=True)
class Head:
    """What lies between the pooled features and the softmax.

    Attributes:
        layers: kernel (inputs, outputs) and bias (outputs,) of each dense layer; all but the last end in a ReLU.
        rooted: whether the features are first square-rooted and brought to length 1.
    """

    layers: tuple[tuple[Array, Array], ...]
    rooted: bool

    @classmethod
    def of(cls, model: Any) -> Head:
        """Take the head of a Keras model: its dense layers behind the layer "pool"."""
        names = [layer.name for layer in model.layers]
        behind = model.layers[names.index("pool") + 1 :]
        dense = tuple((kernel, bias) for kernel, bias in (layer.get_weights() for layer in behind if layer.weights))
        return cls(dense, "unit_length" in names)

    def write(self, path: Path) -> None:
        """Write it as an ``.npz`` file."""
        arrays = {
            f"{kind}_{i}": one for i, pair in enumerate(self.layers) for kind, one in zip("kb", pair, strict=True)
        }
        with path.open("wb") as file:
            np.savez(file, rooted=np.array(self.rooted), **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> Head:
        """Read what `write` wrote.

        Raises:
            ValueError: it is something else, with the reason.
        """
        found = arrays(path, most=MOST_BYTES)
        count = (len(found) - 1) // 2
        kinds = {f"{kind}_{place}": "float32" for place in range(count) for kind in "kb"} | {"rooted": "bool"}
        require_kinds(found, kinds)
        layers, width = tuple((found[f"k_{i}"], found[f"b_{i}"]) for i in range(count)), None
        for kernel, bias in layers:
            if kernel.ndim != 2 or bias.shape != kernel.shape[1:] or width not in (None, len(kernel)):
                raise ValueError(f"a layer in it has the shapes {kernel.shape} and {bias.shape} after {width} values")
            require_finite("a layer in it", kernel)
            require_finite("a layer in it", bias)
            width = len(bias)
        if not layers or found["rooted"].shape:
            raise ValueError("it holds no layer")
        return cls(layers, bool(found["rooted"]))

    def slopes(self, features: Array, labels: NDArray[np.int64]) -> Array:
        """How the score of a label rises with each feature, by the chain rule.

        The score is what goes into the softmax: the probability of a sure answer hardly has a slope.

        Args:
            features: float32 (n, f), pooled, at least 0.
            labels: int64 (n,), whose score it is for each row.

        Returns:
            float32 (n, f).
        """
        values, length, roots = features, np.ones((len(features), 1), np.float32), features
        if self.rooted:
            roots = np.sqrt(features + np.float32(ROOT_SHIFT))
            length = np.linalg.norm(roots, axis=1, keepdims=True)
            values = roots / length
        unit, active = values, []
        for kernel, bias in self.layers[:-1]:
            values = np.maximum(values @ kernel + bias, 0)
            active.append(values > 0)
        slopes: Array = self.layers[-1][0].T[labels]
        for (kernel, _), on in zip(self.layers[-2::-1], active[::-1], strict=True):
            slopes = np.where(on, slopes, 0) @ kernel.T
        if self.rooted:
            slopes = (slopes - unit * (slopes * unit).sum(axis=1, keepdims=True)) / length / (2 * roots)
        return slopes
