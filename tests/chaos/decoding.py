"""Decodes mutants, or files, one after another and prints a line about each; for a process that may die of it.

    python -m chaos.decoding FIRST COUNT     mutants by number
    python -m chaos.decoding FILE ...        files

A line is: name, format, "read" or "refused", milliseconds, and by how many kilobytes memory rose above what was in use.
"""

from __future__ import annotations

import io
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from chaos.mutants import mutant
from leafgraft.photos.decode import UnreadablePhoto, canvas, decode, dimensions, taken

GENEROUS = 4 << 30  # bytes of address space beyond what the process begins with


def pictures(arguments: list[str]) -> Iterator[tuple[str, str, bytes]]:
    if arguments[0].isdecimal():
        first, count = map(int, arguments)
        yield from ((str(number), *mutant(number)) for number in range(first, first + count))
    else:
        yield from ((name, Path(name).suffix[1:], Path(name).read_bytes()) for name in arguments)


def memory(field: str) -> int:
    """VmRSS or VmHWM, the highest VmRSS since `forget`, in kilobytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0])


def forget() -> None:
    """Let VmHWM begin anew (Linux, proc(5))."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def outcome(data: bytes, at_least: int | None) -> str:
    """What becomes of a picture on its way into a classifier."""
    taken(data)
    try:
        dimensions(data)
        image, (width, height) = decode(data, at_least=at_least)
    except UnreadablePhoto:
        return "refused"
    assert image.mode == "RGB"
    assert at_least or image.size == (width, height)
    assert canvas(image).shape[2] == 3
    return "read"


def main() -> None:
    """Decode what the arguments name."""
    outcome(mutant(0)[1], None)  # so that what is loaded once counts for no picture
    size = memory("VmSize") * 1024 + GENEROUS
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    warned: list[object] = []
    warnings.simplefilter("always")
    warnings.showwarning = lambda *warning, **_: warned.append(warning)
    out = io.TextIOWrapper(sys.stdout.buffer, write_through=True)
    for name, kind, data in pictures(sys.argv[1:]):
        at_least = (None, 256, 512)[len(data) % 3]  # as `open_photo`, `scan` and `load_canvas` ask for it
        forget()
        before, begun = memory("VmRSS"), time.perf_counter()
        became = outcome(data, at_least)
        spent = time.perf_counter() - begun
        assert not warned, warned
        print(
            name, kind.partition(" ")[0], became, round(1000 * spent, 1), memory("VmHWM") - before, sep="\t", file=out
        )


if __name__ == "__main__":
    main()
