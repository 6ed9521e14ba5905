"""ResNet50 up to its pooled features, as an OpenVINO file that is kept, so that to look at photos needs no TensorFlow.

The file is made once by Keras and OpenVINO's converter: in this process where TensorFlow is loaded already, in one of
its own elsewhere, whose gigabyte of memory is gone afterwards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from leafgraft import imagenet
from leafgraft.engine.prefix import fingerprint
from leafgraft.engine.store import Prefix
from leafgraft.files import sha256, write_json
from leafgraft.progress import Progress, under_way

FEATURES = 2048


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
        with under_way(progress, "Converting ResNet50"):
            _add(weights, folder)
    network = json.loads((folder / "about.json").read_text(encoding="utf-8"))["network"]
    return Prefix(network, ((FEATURES,),), lambda: folder / "model.xml", lambda: _keras(weights))


def _add(weights: Path, folder: Path) -> None:
    """Let a folder have the files, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix="temporary-", dir=folder.parent))
    try:
        if "tensorflow" in sys.modules:
            make(weights, temporary)
        else:
            command = [sys.executable, "-P", "-m", "leafgraft.engine.backbone", str(weights), str(temporary)]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise RuntimeError(f"ResNet50 could not be converted to OpenVINO: {done.stderr[-2000:]}")
        if folder.exists() and not (folder / "about.json").is_file():
            shutil.rmtree(folder)  # half of it has been removed
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "about.json").is_file():  # else another process was first; its work is as good
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
