"""What an exported file says of itself, in the same words whatever the format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from leafgraft.bundle import Bundle, Calibration
from leafgraft.photos.decode import CANVAS_SHORT, SIDE

NAME = "leafgraft"
"""What the entry, section or file is called that holds the facts."""

_WEIGHTS = re.compile(r"^## Pretrained weights\n\n(.+)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>#|~$&!])")


@dataclass(frozen=True)
class Facts:
    """What belongs to a network and is no part of its graph.

    Attributes:
        labels: names of the species in the order of the probabilities.
        calibration: the temperature that is in the graph, and how strangers are told, which no graph does.
        source: where the pretrained weights come from, and under which licence they are.
    """

    labels: tuple[str, ...]
    calibration: Calibration
    source: str

    @classmethod
    def of(cls, bundle: Bundle) -> Facts:
        """Take the facts of a bundle and of its model card."""
        return cls(bundle.classes, bundle.calibration, source_in(bundle.card))

    def as_dict(self) -> dict[str, str]:
        """The facts as texts in ASCII, which every format keeps as they are; what is no plain text is JSON."""
        strangers = self.calibration.strangers
        return {
            "labels": json.dumps(self.labels),
            "temperature": repr(self.calibration.temperature),
            "unknown": json.dumps(None if strangers is None else strangers.as_dict()),
            "input": f"photo: uint8 (n, {SIDE}, {SIDE}, 3), RGB 0-255; bring the shorter side to {CANVAS_SHORT} pixels "
            f"and take the central {SIDE} x {SIDE}",
            "output": "probabilities: float32 (n, labels), calibrated by the temperature",
            "source": self.source.encode("ascii", "backslashreplace").decode("ascii"),
            "made_with": f"leafgraft {metadata.version('leafgraft')}",
        }


def labels_in(values: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the species in what `Facts.as_dict` gave."""
    return tuple(json.loads(values["labels"]))


def source_in(card: str) -> str:
    """What a model card says of the pretrained weights, as plain text."""
    found = _WEIGHTS.search(card)
    if found is None:
        return "Made with Leafgraft from ResNet50; source and licence of the pretrained weights were not written down."
    said = _ESCAPED.sub(r"\1", found.group(1))
    return f"Made with Leafgraft from ResNet50. {said}"
