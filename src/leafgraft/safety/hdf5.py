"""HDF5 files that hold numbers of their own, and lead nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_OBJECTS = 20_000
"""Groups and data sets in a file, at most; Keras' file of ResNet50 has 700."""

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}  # built into HDF5; others come from plug-ins


def datasets(file: Any, most: int) -> Iterator[tuple[str, Any]]:
    """Go through the data sets of an open HDF5 file, and see to it that each is plain.

    External links and external storage would read other files of the user's into the network; soft links and virtual
    data sets are ways round that, and a data set may claim any size.

    Args:
        file: an ``h5py.File``.
        most: bytes that all data sets may have together.

    Yields:
        The name and the ``h5py.Dataset``, none of which has been read.

    Raises:
        ValueError: something in it is not plain.
    """
    import h5py

    pending, groups, objects, size = [("", file)], {_address(file)}, 0, 0
    while pending:
        prefix, group = pending.pop()
        for name in group:
            path, objects = f"{prefix}/{name}", objects + 1
            if objects > MOST_OBJECTS:
                raise ValueError(f"it holds more than {MOST_OBJECTS:,} groups and data sets")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
                raise ValueError(f"it holds {kind}, {path[:80]}")
            entry = group[name]
            if isinstance(entry, h5py.Group):
                if _address(entry) in groups:
                    raise ValueError(f"its group {path[:80]} is there twice, or leads round in a circle")
                groups.add(_address(entry))
                pending.append((path, entry))
            elif isinstance(entry, h5py.Dataset):
                size += _size(path[:80], entry)
                if size > most:
                    raise ValueError(f"its data sets claim more than {most:,} bytes")
                yield path, entry
            else:
                raise ValueError(f"it holds a named type, {path[:80]}")


def _address(group: Any) -> tuple[int, int]:
    import h5py

    found = h5py.h5o.get_info(group.id)
    return found.fileno, found.addr


def _size(path: str, dataset: Any) -> int:
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        raise ValueError(f"its data set {path} has external storage, in another file")
    if dataset.is_virtual:
        raise ValueError(f"its data set {path} is virtual, a view of other files")
    filters = [properties.get_filter(place)[0] for place in range(properties.get_nfilters())]
    if strange := [number for number in filters if number not in _FILTERS]:
        raise ValueError(f"its data set {path} needs the filter {strange[0]} of a plug-in")
    if dataset.dtype.kind not in "biuf" or dataset.dtype.subdtype:
        raise ValueError(f"its data set {path} is of the type {dataset.dtype}, no plain numbers")
    return int(dataset.nbytes)
