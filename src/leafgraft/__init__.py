"""Leafgraft grafts a plant classifier onto an ImageNet ResNet50."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leafgraft.bundle import Bundle, load_bundle
    from leafgraft.classifier import PlantClassifierTransferLearning
    from leafgraft.errors import OrderError, UserError
    from leafgraft.photos.dataset import Dataset

__all__ = ["Bundle", "Dataset", "OrderError", "PlantClassifierTransferLearning", "UserError", "load_bundle"]

_HOMES = {
    "Bundle": "leafgraft.bundle",
    "Dataset": "leafgraft.photos.dataset",
    "OrderError": "leafgraft.errors",
    "PlantClassifierTransferLearning": "leafgraft.classifier",
    "UserError": "leafgraft.errors",
    "load_bundle": "leafgraft.bundle",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: TensorFlow takes seconds, and many uses do without it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'leafgraft' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
