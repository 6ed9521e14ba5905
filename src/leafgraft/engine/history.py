"""The one history over all stages: a line an epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from leafgraft._tensorflow import keras

LOG_LOSS = "log_loss"
"""The metric that stands in the history as the loss where there is one: without label smoothing or class weights."""


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds a line to the history at the end of each epoch.

    A line holds stage, epoch (counted over all stages), seconds, loss, accuracy, val_loss, val_accuracy (None where
    there is no validation) and learning_rate.
    """

    def __init__(self, stage: str, history: list[dict[str, Any]]) -> None:
        """Add to ``history`` in the name of ``stage``."""
        super().__init__()
        self._stage, self._history = stage, history

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the line."""
        seconds = time.perf_counter() - self._start
        figures = dict(logs or {})
        for name in ("loss", "val_loss"):
            measure = name.replace("loss", LOG_LOSS)
            if measure in figures:
                figures[name] = figures[measure]
        row = epoch_row(self._stage, self._history, seconds, figures)
        self._history.append(row | {"learning_rate": float(self.model.optimizer.learning_rate)})


def epoch_row(
    stage: str, history: list[dict[str, Any]], seconds: float, figures: Mapping[str, float]
) -> dict[str, Any]:
    """The next line of a history; a probe counts as one epoch."""
    row: dict[str, Any] = {"stage": stage, "epoch": len(history) + 1, "seconds": seconds}
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        row[name] = float(figures[name]) if name in figures else None
    return row
