"""What a process on some machine of a cluster does with the photos of a part; its network is opened once."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from leafgraft.cluster.sources import Ref
from leafgraft.engine.backbone import FEATURES
from leafgraft.engine.bank import stored
from leafgraft.engine.prefix import Engine, OpenVINO, TensorFlow
from leafgraft.engine.store import Prefix
from leafgraft.photos.ahead import in_order
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import views_of
from leafgraft.photos.decode import CANVAS_SHORT, UnreadablePhoto, canvas, centre, decode

_OPENVINO, _KERAS = ("model.xml", "model.bin"), "model.keras"

READERS = 4
"""Photos that are fetched and decoded at a time: some of them wait for a network."""

Files = Mapping[str, bytes]
"""Files by their names, to be sent to every machine."""


class Work(Protocol):
    """What is done with the photos of a part."""

    def __call__(self, photos: Iterable[Ref]) -> Any:
        """Turn photos into a ``pyarrow.Table`` with a row for each, in order, and a column ``problem``."""


def packed(folder: Path, names: Iterable[str]) -> Files:
    """Read files of a folder, to be sent."""
    return {name: (folder / name).read_bytes() for name in names}


@contextmanager
def unpacked(files: Files) -> Iterator[Path]:
    """Let the block find some files in a folder of this process's own; what it has opened may be used afterwards."""
    with tempfile.TemporaryDirectory(prefix="leafgraft-") as name:
        for file, content in files.items():
            Path(name, file).write_bytes(content)
        yield Path(name)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a photo before the network has looked at it."""

    path: str
    label: str
    sha256: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


def network_files(prefix: Prefix, *, gpu: bool) -> Files:
    """A frozen part of a network as files for `engine_from`: of Keras where a GPU computes it, else of OpenVINO."""
    with tempfile.TemporaryDirectory(prefix="leafgraft-") as name:
        folder = Path(name)
        if gpu:
            prefix.keras().save(folder / _KERAS)
            return packed(folder, [_KERAS])
        model = prefix.openvino()
        if isinstance(model, Path):
            return packed(model.parent, _OPENVINO)
        from leafgraft._openvino import ov

        ov.save_model(model, folder / _OPENVINO[0], compress_to_fp16=False)
        return packed(folder, _OPENVINO)


def engine_from(network: Files, precision: str) -> Engine:
    """Open what `network_files` gave; with Keras' file, TensorFlow computes in the half precision that its GPU has."""
    with unpacked(network) as folder:
        if _KERAS not in network:
            return OpenVINO(folder / _OPENVINO[0], precision=precision)
        from leafgraft._tensorflow import half_on_gpu, keras

        model = keras.models.load_model(folder / _KERAS, compile=False)
    for layer in model.layers:
        if layer.weights:
            layer.dtype_policy = half_on_gpu() or "float32"
    return TensorFlow(model)


class Features:
    """Turns photos into what ResNet50 sees in them."""

    def __init__(self, network: Files, precision: str) -> None:
        """Open a network from photos to features; see `engine_from`."""
        self._engine = engine_from(network, precision)

    def __call__(self, photos: Iterable[Ref]) -> Any:
        """See `Work`; the columns are path, label, sha256, width, height, problem and features, in half precision."""
        import pyarrow as pa

        seen: list[_Seen] = []

        def crops() -> Iterator[NDArray[np.uint8]]:
            for one, crop in in_order(_look, photos, READERS):
                seen.append(one)
                if crop is not None:
                    yield crop

        rows = [part.astype(np.float16) for (part,) in self._engine.run(crops())]
        bad = np.array([bool(one.problem) for one in seen], bool)
        features = np.zeros((len(seen), FEATURES), np.float16)
        if rows:
            features[~bad] = np.concatenate(rows)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), FEATURES, mask=pa.array(bad))
        return pa.table({name: [getattr(one, name) for one in seen] for name in _Seen.__slots__} | {"features": lists})


def _look(photo: Ref) -> tuple[_Seen, NDArray[np.uint8] | None]:
    digest = ""
    try:
        data = photo.read()
        digest = hashlib.sha256(data).hexdigest()
        image, (width, height) = decode(data, at_least=2 * CANVAS_SHORT)
    except UnreadablePhoto as problem:
        return _Seen(photo.path, photo.label, digest, problem=str(problem)), None
    return _Seen(photo.path, photo.label, digest, width, height), centre(canvas(image))


class Views:
    """Turns photos into what a network makes of some views of each."""

    def __init__(self, network: Files, precision: str, numbers: Sequence[int], augmentation: Augmentation) -> None:
        """Open a network; see `engine_from`, and `leafgraft.photos.dataset.views_of` for the views."""
        self._engine = engine_from(network, precision)
        self._numbers, self._augmentation = numbers, augmentation

    def __call__(self, photos: Iterable[Ref]) -> Any:
        """See `Work`; the columns are path, label, sha256, problem and, for each view and output, one of `column`.

        They hold half precision, as bytes; the one of a photo that cannot be read holds nothing.
        """
        import pyarrow as pa

        seen: list[_Seen] = []

        def crops() -> Iterator[NDArray[np.uint8]]:
            for one, views in in_order(self._draw, photos, READERS):
                seen.append(one)
                yield from views

        parts = [[stored(tensor, np.dtype(np.float16)) for tensor in made] for made in self._engine.run(crops())]
        columns: dict[str, Any] = {
            name: [getattr(one, name) for one in seen] for name in ("path", "label", "sha256", "problem")
        }
        fine = np.array([not one.problem for one in seen], bool)
        for output, blocks in enumerate(zip(*parts, strict=True)):
            rows = np.concatenate(blocks)
            rows = rows.reshape(int(fine.sum()), len(self._numbers), -1)
            for view in range(len(self._numbers)):
                values = np.zeros((len(seen), rows.shape[2]), np.float16)
                values[fine] = rows[:, view]
                kind = pa.binary(values.shape[1] * values.itemsize)
                columns[column(output, view)] = pa.Array.from_buffers(kind, len(seen), [None, pa.py_buffer(values)])
        return pa.table(columns)

    def _draw(self, photo: Ref) -> tuple[_Seen, list[NDArray[np.uint8]]]:
        try:
            data = photo.read()
            whole = canvas(decode(data, at_least=2 * CANVAS_SHORT)[0])
        except UnreadablePhoto as problem:
            return _Seen(photo.path, photo.label, problem=str(problem)), []
        digest = hashlib.sha256(data).hexdigest()
        return _Seen(photo.path, photo.label, digest), views_of(whole, digest, self._numbers, self._augmentation)


def column(output: int, view: int) -> str:
    """The name of the column with an output of the network for a view, both counted from 0."""
    return f"output_{output}_{view}"


class Names:
    """Names the plants on photos."""

    def __init__(self, bundle: Files, engine: str, top: int, flat: bool) -> None:
        """Open a saved classifier; with ``flat`` what it says becomes columns, else a line of JSON a photo."""
        from leafgraft.bundle import Bundle
        from leafgraft.engine.prefix import BATCH

        with unpacked(bundle) as folder:
            self._bundle = Bundle(folder, batch=BATCH, engine=engine)
        self._top, self._flat = top, flat

    def __call__(self, photos: Iterable[Ref]) -> Any:
        """See `Work`; the columns are those of `leafgraft.ledger.table`, or ``row`` and ``problem``."""
        import pyarrow as pa

        from leafgraft.ledger import table
        from leafgraft.naming import named

        rows = list(named(self._bundle, photos, self._top, read=_canvas))
        if self._flat:
            return table(rows, self._top)
        return pa.table({"row": [json.dumps(row) for row in rows], "problem": [row.get("problem", "") for row in rows]})


def _canvas(photo: Ref) -> tuple[str, NDArray[np.uint8] | str]:
    try:
        return photo.path, canvas(decode(photo.read(), at_least=2 * CANVAS_SHORT)[0])
    except UnreadablePhoto as problem:
        return photo.path, str(problem)
