"""The one history over all stages: a line an epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from leafgraft._tensorflow import keras


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
        row: dict[str, Any] = {
            "stage": self._stage,
            "epoch": len(self._history) + 1,
            "seconds": time.perf_counter() - self._start,
        }
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            row[name] = None if logs is None or name not in logs else float(logs[name])
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        self._history.append(row)
