"""ResNet50 up to its pooled features, as an OpenVINO file that is kept, so that to look at photos needs no TensorFlow.

The file is made once by Keras and OpenVINO's converter: in this process where TensorFlow is loaded already, in one of
its own elsewhere, whose gigabyte of memory is gone afterwards.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft import imagenet
from leafgraft.engine.bank import converting
from leafgraft.engine.prefix import fingerprint
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.files import sha256, whole_folder, write_json
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.progress import Progress, under_way

FEATURES = 2048


def pooled(weights: Path, data: Dataset, means: Means) -> NDArray[np.float32]:
    """What ResNet50 makes of the centre crop of each photo, by way of the bank.

    Args:
        weights: a file with ResNet50's ImageNet weights.
        data: the photos.
        means: what it is computed with.

    Returns:
        float32 (n, 2048), at least 0.
    """
    rows: NDArray[np.float32] = Store(backbone(weights, means.bank, means.progress), means).all_rows(data, [CENTRE])
    return rows[:, 0]


def backbone(weights: Path, root: Path, progress: Progress | None = None) -> Prefix:
    """Find ResNet50 as a file, or make it.

    Args:
        weights: a file with ResNet50's ImageNet weights.
        root: the folder of all banks, where it is kept.
        progress: told that it is being made.

    Returns:
        From photos to features (n, 2048), at least 0. Its rows in the bank are those that training uses.

    Raises:
        RuntimeError: the weights are no ResNet50's; `leafgraft.imagenet.fetch` gives only such that are.
    """
    software = " ".join(f"{name} {metadata.version(name)}" for name in ("keras", "openvino"))
    edition = hashlib.sha256(f"{software} {sha256(weights)}".encode()).hexdigest()
    folder = root / f"resnet50-{edition[:16]}"
    if not (folder / "about.json").is_file():
        with under_way(progress, "Converting ResNet50"), converting(root):
            if not (folder / "about.json").is_file():  # another process may have been first
                _add(weights, folder)
    network = json.loads((folder / "about.json").read_text(encoding="utf-8"))["network"]
    return Prefix(network, ((FEATURES,),), lambda: folder / "model.xml", lambda: _keras(weights))


def _add(weights: Path, folder: Path) -> None:
    """Let a folder have the files."""
    with whole_folder(folder, "about.json") as temporary:
        if "tensorflow" in sys.modules:
            make(weights, temporary)
        else:
            command = [sys.executable, "-P", "-m", "leafgraft.engine.backbone", str(weights), str(temporary)]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise RuntimeError(f"ResNet50 could not be converted to OpenVINO: {done.stderr[-2000:]}")


def make(weights: Path, folder: Path) -> None:
    """Write ``model.xml``, ``model.bin`` and ``about.json`` into a folder."""
    from leafgraft._openvino import ov
    from leafgraft.engine.prefix import convert

    prefix = _keras(weights)
    ov.save_model(convert(prefix), folder / "model.xml", compress_to_fp16=False)
    about = {"settings": "ResNet50 in OpenVINO", "shapes": [], "network": fingerprint(prefix)}
    write_json(folder / "about.json", about)


def _keras(weights: Path) -> Any:
    from leafgraft import network

    base = network.resnet50()
    imagenet.load_into(base, weights)
    return network.cut_at_pool(network.linear_head(base, 2)).prefix


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:]))
