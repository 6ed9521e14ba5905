"""Parts of the work, done on all machines of a cluster by Ray Data, each of which becomes a Parquet file.

The file of a part is named by its number and by a digest of what it reads and how. Whoever does a part writes its file
whole, under that name: a part that is done twice, because a machine has died, is there once; and what is done already
when the work is begun again is left as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leafgraft.cluster.sources import Part, opened, refs
from leafgraft.cluster.work import Work
from leafgraft.files import whole
from leafgraft.progress import Progress

NAME = re.compile(r"part-\d{7}-[0-9a-f]{16}\.parquet")

_PROBLEMS = b"problems"  # what the footer of a file calls how many there are in it

# What a worker asks of a machine is half of the processor that it uses, so that those of a machine that has died find a
# place on the others, where they take turns.
SHARE = 0.5


@dataclass(frozen=True)
class Done:
    """Work that is done.

    Attributes:
        folder: the address of the folder that the files are in.
        names: of the files, in order.
        photos: how many rows they have.
        problems: how many of these are of photos that cannot be used.
        kept: parts that had been done already.
    """

    folder: str
    names: tuple[str, ...]
    photos: int
    problems: int
    kept: int

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """The ``pyarrow.Table`` of each part, in order, with some columns or all."""
        from pyarrow import parquet

        system, folder = opened(self.folder)
        for name in self.names:
            with system.open_input_file(f"{folder}/{name}") as file:
                yield parquet.read_table(file, columns=columns)


def done(
    parts: Iterable[Part],
    address: str,
    make: Callable[..., Work],
    arguments: tuple[Any, ...],
    settings: str,
    folder: str,
    workers: int,
    progress: Progress | None = None,
    gpus: float = 0.0,
) -> Done:
    """Do parts that are not done yet.

    Args:
        parts: all of them, in order.
        address: that they were cut from; of photos that were listed, the folder that their paths begin at.
        make: makes what does the work, in each worker.
        arguments: for ``make``; sent to each machine once.
        settings: all that the work depends on besides the photos; it belongs to the names of the files.
        folder: the address of a folder that all machines can write to.
        workers: how many work at a time.
        progress: told how many parts are done.
        gpus: how many of them, or what share of one, each worker has.
    """
    import pyarrow as pa
    import ray
    from pyarrow import parquet

    system, root = opened(folder)
    system.create_dir(root, recursive=True)
    there = _names(system, root)
    names, blocks = [], []
    for part in parts:
        names.append(_name(part, settings))
        if names[-1] not in there:
            blocks.append(pa.table({"part": [part.packed()], "name": [names[-1]]}))
    photos = problems = 0
    for name in there.intersection(names):
        with system.open_input_file(f"{root}/{name}") as file:
            about = parquet.read_metadata(file)
        photos, problems = photos + about.num_rows, problems + int(about.metadata[_PROBLEMS])
    if blocks:
        finished = ray.data.from_blocks(blocks).map_batches(
            _Worker,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(make, ray.put(arguments), address, folder),
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks))),
            num_cpus=SHARE,
            num_gpus=gpus,
        )
        for count, row in enumerate(finished.iter_rows(), start=1):
            photos, problems = photos + row["photos"], problems + row["problems"]
            if progress:
                progress("Parts done", len(names) - len(blocks) + count, len(names))
    for name in there - set(names):  # of other photos or settings
        system.delete_file(f"{root}/{name}")
    return Done(folder, tuple(names), photos, problems, len(names) - len(blocks))


def removed(folder: str) -> None:
    """Remove the files of parts, and their folder if nothing else is in it."""
    system, root = opened(folder)
    for name in _names(system, root):
        system.delete_file(f"{root}/{name}")
    if "://" not in folder and not any(Path(folder).iterdir()):
        Path(folder).rmdir()


def _names(system: Any, root: str) -> set[str]:
    from pyarrow import fs

    found = system.get_file_info(fs.FileSelector(root, allow_not_found=True))
    return {info.base_name for info in found if NAME.fullmatch(info.base_name)}


def _name(part: Part, settings: str) -> str:
    digest = hashlib.sha256(f"{part.key} {settings}".encode()).hexdigest()
    return f"part-{part.number:07d}-{digest[:16]}.parquet"


class _Worker:
    """Does one part after the other, in a process of its own on some machine."""

    def __init__(self, make: Callable[..., Work], arguments: Any, address: str, folder: str) -> None:
        import ray

        self._work = make(*ray.get(arguments))
        self._address, self._folder = address, folder

    def __call__(self, block: Any) -> dict[str, list[int]]:
        [line] = block.to_pylist()
        table = self._work(refs(Part.unpacked(line["part"]), self._address))
        problems = sum(map(bool, table.column("problem").to_pylist()))
        _write(table.replace_schema_metadata({_PROBLEMS: str(problems)}), self._folder, line["name"])
        return {"photos": [len(table)], "problems": [problems]}


def _write(table: Any, folder: str, name: str) -> None:
    """Write a file that is there whole or not at all; stores of objects do so by themselves."""
    import pyarrow as pa
    from pyarrow import fs, parquet

    system, root = opened(folder)
    if isinstance(system, fs.LocalFileSystem):
        with whole(Path(root, name)) as temporary:
            parquet.write_table(table, temporary)
        return
    content = pa.BufferOutputStream()
    parquet.write_table(table, content)
    with system.open_output_stream(f"{root}/{name}") as file:
        file.write(content.getvalue())
