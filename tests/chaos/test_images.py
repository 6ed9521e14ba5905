from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.mutants import mutant
from chaos.originals import originals
from leafgraft.photos.decode import decode

# Named by what they did before it was mended, or do, and by the number that the mutant had.
CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
PATIENCE = 5  # seconds for one picture
MOST = 512 * 1024  # kilobytes that one picture may take

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the highest memory of each picture is measured as Linux allows"
)


@dataclass(frozen=True)
class Told:
    """What `chaos.decoding` said of a picture."""

    name: str
    kind: str
    read: bool
    milliseconds: float
    kilobytes: int


def decoded(arguments: list[str], names: list[str], log: Path) -> Iterator[Told]:
    """Have pictures decoded in another process; whichever ends it or lets it hang is named."""
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-X", "faulthandler", "-m", "chaos.decoding", *arguments]
    path = os.pathsep.join(filter(None, [str(tests), os.environ.get("PYTHONPATH", "")]))
    with (
        log.open("wb") as complaints,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, env=os.environ | {"PYTHONPATH": path}
        ) as child,
        selectors.DefaultSelector() as waiting,
    ):
        assert child.stdout is not None
        waiting.register(child.stdout, selectors.EVENT_READ)
        try:
            rest, patience = b"", 60  # the first line waits for the program to be loaded
            left = iter(names)
            while waiting.select(patience):
                read = os.read(child.stdout.fileno(), 1 << 16)
                if not read:
                    child.wait()
                    break
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    name, kind, became, milliseconds, kilobytes = line.decode().split("\t")
                    assert name == next(left)
                    yield Told(name, kind, became == "read", float(milliseconds), int(kilobytes))
                patience = PATIENCE
            else:
                pytest.fail(f"{next(left)} takes longer than {PATIENCE} s")
        finally:
            child.kill()
    culprit = next(left, None)
    assert culprit is None, (
        f"{culprit} ended the process ({child.returncode}): {log.read_text(errors='replace')[-3000:]}"
    )


def test_every_original_is_read() -> None:
    for kind, data in originals().items():
        assert decode(data)[0].mode == "RGB", kind
        assert len(data) < 50_000


def test_a_number_is_always_the_same_mutant_and_hardly_ever_an_original() -> None:
    mutants = [mutant(number) for number in range(400)]
    assert mutants == [mutant(number) for number in range(400)]
    assert len({data for _, data in mutants}) > 350
    assert sum(data in originals().values() for _, data in mutants) < 40


def test_pictures_that_were_slow_or_large_or_once_failed_are_read_or_refused(tmp_path: Path) -> None:
    names = [str(path) for path in CORPUS]
    assert sum(path.stat().st_size for path in CORPUS) < 500_000
    for told in decoded(names, names, tmp_path / "log"):
        assert told.kilobytes < MOST, told


def test_no_damaged_or_forged_picture_crashes_hangs_or_fills_the_memory(
    amount: Callable[[int, int], int], figures: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    count = amount(400, 100_000)
    begun = time.perf_counter()
    numbers = [str(number) for number in range(count)]
    all_told = []
    for told in decoded(["0", str(count)], numbers, tmp_path / "log"):
        assert told.kilobytes < MOST, told
        all_told.append(told)
    seconds = time.perf_counter() - begun
    slowest = sorted(all_told, key=lambda told: -told.milliseconds)[:10]
    largest = sorted(all_told, key=lambda told: -told.kilobytes)[:10]
    kinds, read = Counter(told.kind for told in all_told), Counter(told.kind for told in all_told if told.read)
    assert len(read) == len(kinds) == 8
    figures(
        {
            "mutants": count,
            "seconds": round(seconds),
            "formats": {kind: {"read": read[kind], "refused": kinds[kind] - read[kind]} for kind in sorted(kinds)},
            "read": read.total(),
            "refused": count - read.total(),
            "slowest": {told.name: f"{told.kind}, {told.milliseconds:.0f} ms" for told in slowest},
            "largest": {told.name: f"{told.kind}, {told.kilobytes / 1024:.1f} MB" for told in largest},
        }
    )
