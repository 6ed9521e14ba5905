"""The store: takes what the frozen part makes of photos from the bank, or computes it when it is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.bank import Bank, Rows, room, row_key, stored
from leafgraft.engine.prefix import Choice, Engine, OpenVINO, TensorFlow, choose, convert, fingerprint
from leafgraft.engine.quantize import quantized
from leafgraft.machine import release_memory
from leafgraft.photos.ahead import in_order
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import CENTRE, PIXELS, Dataset
from leafgraft.progress import Progress, under_way

if TYPE_CHECKING:
    from leafgraft.engine.machines import Machines
    from leafgraft.network import Halves

_COMMIT = 256  # rows between two synchronisations with the disk

Row = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Means:
    """What the frozen part is computed with.

    Attributes:
        bank: the folder of all banks.
        engine: a name that `leafgraft.engine.prefix.choose` knows.
        bank_gb: what all banks together may take of the disk, in GB; None leaves half of what is free.
        progress: told how many views are done.
        machines: others that compute it, and keep it, instead; None for this one alone.
    """

    bank: Path
    engine: str = "auto"
    bank_gb: float | None = None
    progress: Progress | None = None
    machines: Machines | None = None


@dataclass(frozen=True)
class Prefix:
    """The frozen part of a network, in whatever form it is at hand.

    Attributes:
        network: its `leafgraft.engine.prefix.fingerprint`; "" where nothing is computed and photos pass as they are.
        shapes: of its outputs, without the batch axis.
        openvino: gives it as an ``openvino.Model`` in float32, or the path of one.
        keras: gives it as a Keras model.
        skipped: outputs of the network before the ones that ``shapes`` is of, which do not count.
    """

    network: str
    shapes: tuple[tuple[int, ...], ...]
    openvino: Callable[[], Any]
    keras: Callable[[], Any]
    skipped: int = 0

    @classmethod
    def of(cls, halves: Halves) -> Prefix:
        """Take the lower half of a network that was cut."""
        network = "" if halves.takes_photos else fingerprint(halves.prefix)
        return cls(network, halves.shapes, lambda: convert(halves.prefix), lambda: halves.prefix)

    @classmethod
    def with_features(cls, model: Any, halves: Halves) -> Prefix:
        """Take the lower half of a network that was cut, and go on from there to its pooled features.

        Args:
            model: a Keras model with one of our heads.
            halves: its halves; where they were cut behind the pooling, there is nothing to go on to.
        """
        if len(halves.shapes[0]) == 1:
            from leafgraft.network import cut_at_pool

            return cls.of(cut_at_pool(model))
        pool = model.get_layer("pool").output
        prefix = halves.to(pool)
        return cls(
            fingerprint(prefix), (tuple(pool.shape[1:]),), lambda: convert(prefix), lambda: prefix, len(halves.shapes)
        )


@dataclass(frozen=True)
class Feed:
    """A data set as rows of a bank.

    Attributes:
        rows: the rows of the bank, or rows in memory.
        places: int64 (n, v): the row of each of the v views of each of the n photos; -1 where it is not in the bank.
        targets: float32 (n, classes), one-hot.
        compute: makes the rows that are not in the bank, from (photo, column of ``places``) pairs, in their order.
        weights: float32 (n,), or None.
    """

    rows: Rows | _OfArray
    places: NDArray[np.int64]
    targets: NDArray[np.float32]
    compute: Callable[[Sequence[tuple[int, int]]], Iterator[Row]]
    weights: NDArray[np.float32] | None = None

    def read(self, wanted: Sequence[tuple[int, int]], size: int) -> Iterator[Row]:
        """Read or compute some rows.

        Args:
            wanted: (photo, column of ``places``) pairs.
            size: rows at a time.

        Yields:
            (size, *shape) for each tensor, in the type of the bank; the last ones may be fewer.
        """
        pairs = np.array(wanted, np.int64).reshape(-1, 2)
        places = self.places[pairs[:, 0], pairs[:, 1]]
        absent = self.compute([pair for pair, place in zip(wanted, places, strict=True) if place < 0])
        for start in range(0, len(places), size):
            some = places[start : start + size]
            here = some >= 0
            here[here] = self.rows.intact(some[here])
            found = self.rows.take(some[here])
            if not here.all():
                missing = [
                    next(absent) if some[i] < 0 else next(self.compute([wanted[start + i]]))
                    for i in np.flatnonzero(~here).tolist()
                ]
                whole = tuple(np.empty((len(some), *shape), self.rows.dtype) for shape in self.rows.shapes)
                for i, tensor in enumerate(whole):
                    tensor[here] = found[i]
                    tensor[~here] = [row[i] for row in missing]
                found = whole
            yield found

    def read_all(self, size: int) -> Iterator[Row]:
        """Read or compute all rows, photo by photo, as `read` does."""
        photos, views = self.places.shape
        return self.read([(photo, column) for photo in range(photos) for column in range(views)], size)


@dataclass(frozen=True)
class _OfArray:
    """Rows as `leafgraft.engine.bank.Rows` has them, of one tensor that is an array."""

    tensor: NDArray[Any]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.tensor.shape[1:],)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.tensor.dtype

    def intact(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.ones(len(places), bool)

    def take(self, places: NDArray[np.int64]) -> Row:
        return (self.tensor[places],)


def held(rows: NDArray[np.floating[Any]], data: Dataset) -> Feed:
    """Make a feed of what is computed already, kept in half precision as in a bank.

    Args:
        rows: (photos, views, *shape).
        data: the photos.
    """
    photos, views = rows.shape[:2]
    flat = rows.reshape(photos * views, *rows.shape[2:])
    tensor = flat if flat.dtype == np.float16 else stored(flat, np.dtype(np.float16))
    places = np.arange(photos * views).reshape(photos, views)
    targets = np.eye(len(data.classes), dtype=np.float32)[data.labels]
    return Feed(_OfArray(tensor), places, targets, lambda wanted: iter(()))


class Store:
    """The bank that belongs to one cut, and the engine that fills it."""

    def __init__(self, prefix: Prefix, means: Means) -> None:
        """Find the bank of a cut; nothing is computed yet."""
        self._prefix, self._means = prefix, means
        self._choice: Choice | None = choose(means.engine) if prefix.network else None
        self._dtype = "float16" if prefix.network else "uint8"
        self._int8: Path | None = None
        self._engine: Engine | None = None

    def feed(
        self, data: Dataset, numbers: Sequence[int], augmentation: Augmentation | None = None, *, keep: bool = True
    ) -> Feed:
        """Make sure that the views of some photos are in the bank, as far as there is room for them.

        Args:
            data: the photos.
            numbers: which views of each: `CENTRE`, or 0, 1, ...
            augmentation: ranges of the random views; the centre crop is the same under each of them.
            keep: whether views that are not in the bank yet go there; otherwise they are computed whenever they are
                read.
        """
        ranges = Augmentation() if augmentation is None else augmentation
        bank = self._bank(data, numbers, ranges)
        keys = _keys(data, numbers)
        with _held(bank, self._means.progress):
            if keep:
                self._fill([(bank, slice(self._prefix.skipped, None))], data, numbers, ranges)
            places = bank.places(keys).reshape(len(data), len(numbers))
            rows = bank.rows()

        def compute(wanted: Sequence[tuple[int, int]]) -> Iterator[Row]:
            if wanted:
                for outputs in self._run(drawn(data, wanted, numbers, ranges)):
                    kept = outputs[self._prefix.skipped :]
                    yield from zip(*(stored(output, rows.dtype) for output in kept), strict=True)

        return Feed(rows, places, np.eye(len(data.classes), dtype=np.float32)[data.labels], compute)

    def fill_with(self, lower: Store, data: Dataset, numbers: Sequence[int], augmentation: Augmentation) -> bool:
        """Fill this bank, and that of a cut further down, with one pass through the network.

        Args:
            lower: its tensors are those that this prefix skips.
            data: the photos.
            numbers: which views of each.
            augmentation: ranges of the random views.

        Returns:
            Whether this was worth it: not if the other bank has most rows already.
        """
        below, own = (store._bank(data, numbers, augmentation) for store in (lower, self))
        keys = _keys(data, numbers)
        with _held(below, self._means.progress), _held(own, self._means.progress):
            # The own rows are written first, so a pass that was cut off is no reason to go another way, whose features
            # differ in the last digits.
            spared = set(own.missing(keys)) - set(below.missing(keys))
            if 2 * len(spared) > len(set(keys)):
                return False
            self._fill(
                [(own, slice(self._prefix.skipped, None)), (below, slice(self._prefix.skipped))],
                data, numbers, augmentation,
            )  # fmt: skip
        return True

    def _bank(self, data: Dataset, numbers: Sequence[int], ranges: Augmentation) -> Bank:
        return Bank(self._means.bank, self._settings(data, numbers, ranges), self._prefix.shapes, self._dtype)

    def rest(self, *feeds: Feed) -> None:
        """Let go of the engine and its memory, unless one of some feeds has to compute rows when they are read."""
        if all((feed.places >= 0).all() for feed in feeds):
            self._engine = None
            release_memory()

    def all_rows(self, data: Dataset, numbers: Sequence[int], augmentation: Augmentation | None = None) -> NDArray[Any]:
        """What the prefix makes of some views, all in memory, for a cut with a single small tensor.

        Returns:
            float32 (photos, views, *shape).
        """
        if not numbers:
            return np.zeros((len(data), 0, *self._prefix.shapes[0]), np.float32)
        feed = self.feed(data, numbers, augmentation)
        parts = [rows[0].astype(np.float32) for rows in feed.read_all(4096)]
        return np.concatenate(parts).reshape(len(data), len(numbers), *self._prefix.shapes[0])

    def _settings(self, data: Dataset, numbers: Sequence[int], ranges: Augmentation) -> str:
        """All that rows depend on besides photo and view."""
        settings = PIXELS
        if self._choice is not None:
            engine = self._choice.key
            if self._choice.name == "int8" and self._int8 is None:
                with under_way(self._means.progress, "Calibrating int8"):
                    self._int8 = quantized(
                        self._prefix.network,
                        self._means.bank,
                        data.keys,
                        lambda position: data.views(position, [CENTRE], ranges)[0],
                        self._prefix.openvino,
                    )
                release_memory()
            if self._int8 is not None:
                engine += f" {self._int8.name}"
            settings += f" {engine} {self._prefix.network}"
        return settings if list(numbers) == [CENTRE] else f"{settings} {ranges}"

    def _run(self, views: Iterator[NDArray[np.uint8]]) -> Iterator[Row]:
        if self._choice is None:
            return ((view[None],) for view in views)
        if self._engine is None:
            with under_way(self._means.progress, "Compiling the frozen layers"):
                if self._choice.name == "tensorflow":
                    self._engine = TensorFlow(self._prefix.keras())
                else:
                    model = self._prefix.openvino() if self._int8 is None else self._int8 / "model.xml"
                    self._engine = OpenVINO(model, precision=self._choice.name)
                    del model
            release_memory()
        return self._engine.run(views)

    def _fill(
        self, banks: Sequence[tuple[Bank, slice]], data: Dataset, numbers: Sequence[int], ranges: Augmentation
    ) -> None:
        """Compute the rows that are missing in some banks, each with its slice of the outputs, as far as there is room.

        Any number of rows may be left undone without harm. The caller holds the locks.
        """
        keys = _keys(data, numbers)
        wanted = [set(bank.missing(keys)) for bank, _ in banks]
        missing = sorted(set().union(*wanted))
        if missing:
            missing = missing[: room(self._means.bank, self._means.bank_gb) // sum(bank.row_bytes for bank, _ in banks)]
        if not missing:
            return
        done = 0
        text = "Drawing the views" if self._choice is None else "Computing the frozen layers"
        try:
            for tensors in self._run(drawn(data, [divmod(i, len(numbers)) for i in missing], numbers, ranges)):
                before, done = done, done + len(tensors[0])
                for (bank, part), lacking in zip(banks, wanted, strict=True):
                    new = [place for place, i in enumerate(missing[before:done]) if i in lacking]
                    bank.append(
                        [keys[missing[before + place]] for place in new], [tensor[new] for tensor in tensors[part]]
                    )
                    if done // _COMMIT > before // _COMMIT:
                        bank.commit()
                if self._means.progress:
                    self._means.progress(text, done, len(missing))
        finally:  # also where somebody wants to end
            for bank, _ in banks:
                bank.commit()


def _keys(data: Dataset, numbers: Sequence[int]) -> list[bytes]:
    return [row_key(key, number) for key in data.keys for number in numbers]


@contextmanager
def _held(bank: Bank, progress: Progress | None) -> Iterator[None]:
    """Hold the lock of a bank, and say so where another process makes one wait."""
    lock = bank.lock()
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        with under_way(progress, "Waiting for another training that fills the bank"):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def drawn(
    data: Dataset, wanted: Sequence[tuple[int, int]], numbers: Sequence[int], augmentation: Augmentation
) -> Iterator[NDArray[np.uint8]]:
    """Decode photos and draw views in threads, in order and not far ahead of the reader.

    Args:
        data: the photos.
        wanted: (photo, index into ``numbers``); a photo is decoded once for all of its views that stand together.
        numbers: of the views.
        augmentation: ranges of the random views.
    """
    photos = [(photo, [numbers[i] for _, i in group]) for photo, group in itertools.groupby(wanted, lambda w: w[0])]
    for views in in_order(lambda one: data.views(*one, augmentation), photos):
        yield from views
