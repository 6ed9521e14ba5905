"""JPEG files to features, against Keras' ``predict`` on arrays that are in memory already."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import machine, spread, timed

PHOTOS = 512
ARRAYS = 192


def _exhaust(stream: Iterable[Any]) -> None:
    for _ in stream:
        pass


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Images a second of each engine, decoding included, in turns; the engines are warm."""
    from leafgraft import imagenet, network
    from leafgraft._tensorflow import keras
    from leafgraft.engine.prefix import OpenVINO, choose, convert
    from leafgraft.engine.quantize import quantized
    from leafgraft.engine.store import drawn
    from leafgraft.inputs import photos_in
    from leafgraft.photos.augment import Augmentation
    from leafgraft.photos.dataset import CENTRE
    from leafgraft.photos.decode import centre

    whole = photos_in(arguments.photos)
    chosen = np.random.default_rng(0).permutation(len(whole))[:PHOTOS]
    data = whole.subset(chosen)
    base = network.resnet50()
    imagenet.load_into(base, imagenet.fetch())
    pooled = keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output))
    pooled.jit_compile = False
    arrays = np.stack([centre(data.canvas(i)) for i in range(ARRAYS)]).astype(np.float32)

    def views() -> Any:
        return drawn(data, [(i, 0) for i in range(len(data))], [CENTRE], Augmentation())

    engines: dict[str, Any] = {"fp32": OpenVINO(convert(pooled))}
    if "BF16" in machine()["capabilities"]:
        engines["bf16"] = OpenVINO(convert(pooled), precision="bf16")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        model = quantized("0" * 16, Path(folder), data.keys, lambda i: centre(data.canvas(i)), lambda: convert(pooled))
        calibrating = time.perf_counter() - start
        engines["int8"] = OpenVINO(model / "model.xml", precision="int8")

    works: dict[str, tuple[int, Callable[[], Any]]] = {
        "keras": (ARRAYS, lambda: pooled.predict(arrays, batch_size=32, verbose=0)),
        "decode": (PHOTOS, lambda: _exhaust(views())),
    }
    for name, engine in engines.items():
        works[name] = (PHOTOS, partial(lambda engine: _exhaust(engine.run(views())), engine))
    rates: dict[str, list[float]] = {name: [] for name in works}
    used: dict[str, list[float]] = {name: [] for name in works}
    pooled.predict(arrays[:32], verbose=0)
    for _ in range(arguments.repeats):
        for name, (count, work) in works.items():
            seconds, share = timed(work)
            rates[name].append(count / seconds)
            used[name].append(share)
            print(f"{name}: {count / seconds:.1f} images/s, {100 * share:.0f} % of the processors", flush=True)
    return {
        "machine": machine(),
        "auto": choose("auto").sentence,
        "rates": {name: spread(values) for name, values in rates.items()},
        "ratios": {
            name: spread([ours / theirs for ours, theirs in zip(rates[name], rates["keras"], strict=True)])
            for name in engines
        },
        "used": {name: spread(values) for name, values in used.items()},
        "calibrating_seconds": calibrating,
    }
