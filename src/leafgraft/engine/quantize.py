"""int8 by post-training quantization, calibrated on the user's own photos (NNCF, https://github.com/openvinotoolkit/nncf)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.bank import converting
from leafgraft.files import whole_folder, write_json

PHOTOS = 128
"""Photos to calibrate on, at most: 21 s on two cores (``docs/performance.md``)."""


def quantized(
    fingerprint: str,
    root: Path,
    keys: Sequence[str],
    crop: Callable[[int], NDArray[np.uint8]],
    convert: Callable[[], Any],
) -> Path:
    """Find the int8 form of a network, or make it.

    The ranges of the activations are taken from the photos at hand, so other photos would give another network, and
    what it computed before would be lost. An earlier one is taken again as long as at least half of the photos that it
    was calibrated on are among those at hand: another split or some new photos change nothing.

    Args:
        fingerprint: of the network.
        root: the folder of all banks.
        keys: for each photo, the digest of its content.
        crop: gives the centre crop of the photo at a position, uint8 (224, 224, 3).
        convert: gives the network as an ``openvino.Model`` in float32, or the path of one.

    Returns:
        The folder that holds ``model.xml``. Its name belongs into the key of what the network computes.
    """
    from leafgraft._openvino import ov

    beginning = f"int8-{fingerprint[:16]}-"
    present = set(keys)
    for about in sorted(root.glob(f"{beginning}*/about.json")):
        used = json.loads(about.read_text(encoding="utf-8"))["photos"]
        if 2 * len(present.intersection(used)) >= len(used):
            return about.parent
    # The digests order the photos at random, but always alike.
    chosen = sorted({key: position for position, key in enumerate(keys)}.items())[:PHOTOS]
    used = [key for key, _ in chosen]
    edition = hashlib.sha256(" ".join([metadata.version("nncf"), *used]).encode()).hexdigest()
    folder = root / f"{beginning}{edition[:16]}"
    with converting(root), whole_folder(folder, "about.json") as temporary:
        model = convert()
        if isinstance(model, Path):
            model = ov.Core().read_model(model)
        model = in_int8(model, [crop(position)[None] for _, position in chosen])
        ov.save_model(model, temporary / "model.xml", compress_to_fp16=False)
        write_json(temporary / "about.json", {"settings": "int8 network", "shapes": [], "photos": used})
    return folder


def in_int8(model: Any, photos: Sequence[NDArray[np.uint8]]) -> Any:
    """Quantize an ``openvino.Model``, calibrated on photos, uint8 (1, 224, 224, 3) each."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF draws bars of its own
        return nncf.quantize(model, nncf.Dataset(photos), subset_size=len(photos))
