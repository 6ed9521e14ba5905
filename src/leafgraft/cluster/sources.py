"""Where photos come from, cut into parts: files of any file system, Parquet files and WebDataset shards with photos.

A source is listed by one process, in order and without being kept; each part is read by whoever works on it.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from unicodedata import normalize

from leafgraft.errors import UserError
from leafgraft.photos.decode import MEGABYTES, UnreadablePhoto, read_bytes

SMALLEST, LARGEST = 64, 1024
"""Photos of the first parts, and of those after some ten thousand photos."""

_PHOTOS = {"jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "heic", "heif", "avif", "mpo"}  # in a shard
_IMAGES = ("image", "bytes", "jpg", "img")  # columns of a Parquet file that photos may be in
_NAMES = ("path", "file_name", "__key__")
_LABELS = ("label", "species", "cls")

Kind = Literal["files", "parquet", "webdataset"]


@dataclass(frozen=True)
class Found:
    """A photo that was listed.

    Attributes:
        path: as it is told to the user.
        label: the species; "" if it is not known.
        stamp: changes when the photo does: its size and time.
        problem: why it must not be read; "" if it may.
    """

    path: str
    label: str
    stamp: str
    problem: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of work.

    Attributes:
        number: its place in the order, from 0.
        key: a digest of what it reads.
        kind: how it is read.
        paths: of photos; of the one file that holds them otherwise.
        labels: of photos.
        problems: of photos, why each must not be read; "" if it may.
        inner: the group of rows in a Parquet file.
    """

    number: int
    key: str
    kind: Kind
    paths: tuple[str, ...]
    labels: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    inner: int = 0

    def packed(self) -> bytes:
        """All of it, to be sent: some ten bytes a photo, so that those of millions fit into memory."""
        return zlib.compress(json.dumps(asdict(self)).encode(), 1)

    @classmethod
    def unpacked(cls, data: bytes) -> Part:
        """Undo `packed`."""
        content = json.loads(zlib.decompress(data))
        return cls(**content | {name: tuple(content[name]) for name in ("paths", "labels", "problems")})


@dataclass(frozen=True)
class Ref:
    """A photo of a part.

    Attributes:
        path: as it is told to the user.
        label: the species; "" if it is not known.
        read: gives its bytes; raises `UnreadablePhoto`.
    """

    path: str
    label: str
    read: Callable[[], bytes]


def parts(source: str | Iterable[Found], size: int | None = None) -> Iterator[Part]:
    """Cut a source into parts.

    Args:
        source: photos that were listed; or the address of a folder, a Parquet file or a WebDataset shard: a path, or a
            URI such as ``s3://bucket/photos``. Parquet files and shards in a folder are taken for what is in them; of
            any other file the first folder in its path below the address is the label.
        size: photos of each part, if they were listed; None for small parts first, and larger ones behind them.

    Raises:
        UserError: there is nothing at that address, or no photo.
    """
    number = -1
    for number, part in enumerate(_of_listed(source, size) if not isinstance(source, str) else _of_address(source)):
        yield replace(part, number=number)
    if number < 0:
        raise UserError("There is no photo; give a folder, a Parquet file or a WebDataset shard with photos in it.")


def refs(part: Part, address: str) -> Iterator[Ref]:
    """The photos of a part, in order; to be read in any order, except for those of a shard, which are read already.

    Args:
        part: from `parts`.
        address: that it was cut from; of photos that were listed, the folder that their paths begin at.
    """
    system, root = opened(address)
    if part.kind == "files":
        for path, label, problem in zip(part.paths, part.labels, part.problems, strict=True):
            here = "://" not in address
            read = partial(read_bytes, Path(root, path)) if here else partial(_read, system, path)
            yield Ref(path, label, partial(_refused, problem) if problem else read)
    elif part.kind == "parquet":
        yield from _in_parquet(system, part.paths[0], part.inner)
    else:
        yield from _in_shard(system, part.paths[0])


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address, one of Arrow's own or else of fsspec's, and the path in it.

    Raises:
        UserError: there is no such file system.
    """
    from pyarrow import fs

    if "://" not in address:
        return fs.LocalFileSystem(), Path(address).absolute().as_posix()
    try:
        system, path = fs.FileSystem.from_uri(address)
        return system, path.rstrip("/")
    except (ValueError, OSError) as error:
        reason = str(error)
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError):
        raise UserError(f"{address} cannot be opened: {reason}.") from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path.rstrip("/")


def _of_listed(photos: Iterable[Found], size: int | None = None) -> Iterator[Part]:
    """Photos by the dozen; the number of a part is its place among these."""
    waiting: list[Found] = []
    number = 0
    for photo in photos:
        waiting.append(photo)
        if len(waiting) == (size or min(LARGEST, SMALLEST * 2 ** (number // SMALLEST))):
            yield _of_files(waiting)
            waiting, number = [], number + 1
    if waiting:
        yield _of_files(waiting)


def _of_files(photos: Sequence[Found]) -> Part:
    key = _digest(*(f"{photo.path} {photo.label} {photo.stamp} {photo.problem}" for photo in photos))
    paths, labels, problems = (tuple(getattr(photo, name) for photo in photos) for name in ("path", "label", "problem"))
    return Part(0, key, "files", paths, labels, problems)


def _of_address(address: str) -> Iterator[Part]:
    from pyarrow import parquet

    system, root = opened(address)

    def files() -> Iterator[Found]:
        """Loose files up to the next one that holds many photos."""
        while (info := next(listing, None)) is not None:
            if info.extension in ("parquet", "tar"):
                holding.append(info)
                return
            inner = PurePosixPath(info.path).relative_to(root).parts if info.path != root else ()
            yield Found(info.path, normalize("NFC", inner[0]).strip() if len(inner) > 1 else "", _stamp(info))

    listing = _below(system, root)
    holding: list[Any] = []
    while True:
        yield from _of_listed(files())
        if not holding:
            return
        info = holding.pop()
        if info.extension == "tar":
            yield Part(0, _digest(info.path, _stamp(info)), "webdataset", (info.path,))
            continue
        with system.open_input_file(info.path) as file:
            groups = parquet.ParquetFile(file).num_row_groups
        for inner in range(groups):
            yield Part(0, _digest(info.path, _stamp(info), str(inner)), "parquet", (info.path,), inner=inner)


def _below(system: Any, path: str) -> Iterator[Any]:
    """What Arrow knows of the files at and below a path, in the order of their paths; hidden ones are passed over.

    Raises:
        UserError: there is nothing.
    """
    from pyarrow import fs

    top = system.get_file_info(path)
    if top.type == fs.FileType.NotFound:
        raise UserError(f"There is nothing at {path}.")
    if top.type == fs.FileType.File:
        yield top
        return
    entries = system.get_file_info(fs.FileSelector(path))
    for info in sorted(entries, key=lambda info: info.base_name + "/" * (info.type == fs.FileType.Directory)):
        if info.base_name.startswith("."):
            continue
        if info.type == fs.FileType.Directory:
            yield from _below(system, info.path)
        else:
            yield info


def _stamp(info: Any) -> str:
    return f"{info.size} {info.mtime_ns}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()


def _read(system: Any, path: str) -> bytes:
    """As `leafgraft.photos.decode.read_bytes` does, from any file system."""
    try:
        with system.open_input_stream(path) as file:
            data: bytes = file.read(MEGABYTES * 10**6 + 1)
    except FileNotFoundError:
        raise UnreadablePhoto("no such file") from None
    except OSError as error:
        raise UnreadablePhoto(f"cannot be opened: {error}") from None
    return _limited(data)


def _limited(data: bytes) -> bytes:
    if len(data) > MEGABYTES * 10**6:
        raise UnreadablePhoto(f"larger than the limit of {MEGABYTES} MB")
    return data


def _in_parquet(system: Any, path: str, group: int) -> Iterator[Ref]:
    """The rows of one group: a column of bytes, or of the structure that Hugging Face keeps pictures in."""
    from pyarrow import parquet

    with system.open_input_file(path) as opened:
        file = parquet.ParquetFile(opened)
        names = file.schema_arrow.names
        image, name, label = (next((one for one in some if one in names), "") for some in (_IMAGES, _NAMES, _LABELS))
        if not image:
            raise UserError(f"{path} has no column of photos ({', '.join(_IMAGES)}); it has {', '.join(names)}.")
        table = file.read_row_group(group, columns=[one for one in (image, name, label) if one])
    for place, row in enumerate(table.to_pylist()):
        content = row[image]
        inside = content if isinstance(content, dict) else {"bytes": content}
        where = row.get(name) or inside.get("path") or f"{path}#{group}.{place}"
        yield Ref(str(where), str(row.get(label, "")), partial(_given, inside.get("bytes")))


def _refused(problem: str) -> bytes:
    raise UnreadablePhoto(problem)


def _given(data: bytes | None) -> bytes:
    if data is None:
        raise UnreadablePhoto("no bytes in this row")
    return _limited(data)


def _in_shard(system: Any, path: str) -> Iterator[Ref]:
    """The photos of a tar file: what has the same name up to its first dot belongs together.

    Source: https://github.com/webdataset/webdataset#the-webdataset-format
    """
    with system.open_input_stream(path) as file, tarfile.open(fileobj=file, mode="r|") as shard:
        key, data, label = "", None, ""
        for member in shard:
            if not member.isfile():
                continue
            folder, _, base = member.name.rpartition("/")
            stem, _, suffix = base.partition(".")
            if (where := f"{folder}/{stem}" if folder else stem) != key:
                if data is not None:
                    yield Ref(f"{path}/{key}", label, partial(_given, data))
                key, data, label = where, None, ""
            content = shard.extractfile(member)
            assert content is not None
            if suffix.lower() in _PHOTOS:
                data = content.read(MEGABYTES * 10**6 + 1)
            elif suffix in ("cls", "txt"):
                label = content.read(1000).decode("utf-8", "replace").strip()
        if data is not None:
            yield Ref(f"{path}/{key}", label, partial(_given, data))
