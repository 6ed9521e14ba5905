"""Damaged and forged pictures: a number is a mutant, the same each time, so that one can be made again from it."""

from __future__ import annotations

import functools
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator

from chaos.originals import originals

Field = tuple[int, str]
"""Where a number stands in a file and how, in the letters of `struct`."""

EXTREMES = (
    *(0, 1, 2, 3, 15, 16, 17, 127, 128, 255, 256, 257, 10_000, 14_000, 16_383, 16_384, 32_767, 32_768, 65_535, 65_536),
    *(200_000_000, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1),
)


def mutant(number: int) -> tuple[str, bytes]:
    """The kind of file and the bytes of a mutant."""
    kinds = list(originals())
    kind = kinds[number % len(kinds)]
    data, chance = originals()[kind], random.Random(number)
    if chance.random() < 0.6:  # first, while its place is where the original has it
        data = chance.choice((_forged, _forged, _enlarged))(data, kind, chance)
    for change in chance.choices(CHANGES, k=chance.choice((0, 1, 1, 2, 5))):
        data = change(data, kind, chance)
    # Else checksums would keep nearly all that is wrong from the code behind them.
    return kind, _checked(data) if kind.startswith("PNG") and chance.random() < 0.8 else data


def _forged(data: bytes, kind: str, chance: random.Random) -> bytes:
    """A size, a count, a length or an offset becomes another."""
    places = _fields(data) if data != originals()[kind] else _known_fields(kind)
    if not places:
        return data
    place, how = chance.choice(places)
    old = struct.unpack_from(how, data, place)[0]
    extreme = chance.choice(EXTREMES)
    return _set(
        data, (place, how), chance.choice((extreme, extreme, old + 1, old - 1, old * 2, chance.getrandbits(32)))
    )


def _enlarged(data: bytes, kind: str, chance: random.Random) -> bytes:
    """Neighbours, such as width and height, become large together."""
    places = _known_fields(kind)
    first = chance.randrange(len(places) - 1)
    for field in places[first : first + 2]:
        data = _set(data, field, chance.choice((200, 1_000, 2_000, 3_000, 3_999, 4_000, 10_000, 14_000, 16_383)))
    return data


def _flipped(data: bytes, kind: str, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 40)) if data else 0):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwritten(data: bytes, kind: str, chance: random.Random) -> bytes:
    place, size = _block(data, chance, 8)
    return _put(data, place, chance.choice((b"\0" * size, b"\xff" * size, b"\x80" * size, chance.randbytes(size))))


def _cut(data: bytes, kind: str, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _without(data: bytes, kind: str, chance: random.Random) -> bytes:
    place, size = _block(data, chance, 400)
    return data[:place] + data[place + size :]


def _doubled(data: bytes, kind: str, chance: random.Random) -> bytes:
    place, size = _block(data, chance, 400)
    return data[: place + size] + data[place:]


def _repeated(data: bytes, kind: str, chance: random.Random) -> bytes:
    place, size = _block(data, chance, 60)
    return data[:place] + data[place : place + size] * chance.choice((5, 50, 300)) + data[place + size :]


def _inserted(data: bytes, kind: str, chance: random.Random) -> bytes:
    place, size = _block(data, chance, 40)
    return data[:place] + chance.randbytes(size) + data[place:]


def _spliced(data: bytes, kind: str, chance: random.Random) -> bytes:
    """The beginning of one file and the end of another, most often of the same format."""
    family = kind.partition(" ")[0]
    names = [name for name in originals() if name.startswith(family)] if chance.random() < 0.8 else list(originals())
    other = originals()[chance.choice(names)]
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]


CHANGES: tuple[Callable[[bytes, str, random.Random], bytes], ...] = (
    _forged, _flipped, _flipped, _overwritten, _overwritten, _cut, _without, _doubled, _repeated, _inserted, _spliced,
)  # fmt: skip


def _block(data: bytes, chance: random.Random, most: int) -> tuple[int, int]:
    place = chance.randrange(len(data) + 1)
    return place, min(chance.randint(1, most), len(data) - place)


def _put(data: bytes, place: int, what: bytes) -> bytes:
    return data[:place] + what + data[place + len(what) :]


def _set(data: bytes, field: Field, value: int) -> bytes:
    place, how = field
    return _put(data, place, struct.pack(how, value % 256 ** struct.calcsize(how)))


def _checked(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have."""
    place = 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data = _put(data, end, struct.pack(">I", zlib.crc32(data[place + 4 : end])))
        place = end + 4
    return data


@functools.cache
def _known_fields(kind: str) -> list[Field]:
    return _fields(originals()[kind])


def _fields(data: bytes) -> list[Field]:
    """Where a file has its sizes, counts, lengths and offsets, as far as it can still be followed."""
    readers = {b"\xff\xd8": _jpeg, b"\x89P": _png, b"RI": _riff, b"GI": _gif, b"BM": _bmp, b"II": _tiff, b"MM": _tiff}
    reader = _boxes if data[4:8] == b"ftyp" else readers.get(data[:2])
    found = list(reader(data)) if reader else []
    return [(place, how) for place, how in found if 0 <= place <= len(data) - struct.calcsize(how)]


def _jpeg(data: bytes) -> Iterator[Field]:
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        yield place + 2, ">H"
        if data[place + 1] in (0xC0, 0xC2):  # the frame
            yield from [(place + 4, "B"), (place + 5, ">H"), (place + 7, ">H"), (place + 9, "B")]
            yield from ((place + 10 + i, "B") for i in range(9))
        if data[place + 1] == 0xE1:  # EXIF
            yield from _tiff(data, place + 10)
        if data[place + 1] == 0xDA:  # the scan
            yield from ((place + 4 + i, "B") for i in range(10))
            return
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")


def _png(data: bytes) -> Iterator[Field]:
    yield from [(16, ">I"), (20, ">I"), *((24 + i, "B") for i in range(5))]
    place = 8
    while place + 8 <= len(data):
        yield place, ">I"
        if data[place + 4 : place + 8] in (b"fcTL", b"acTL"):
            yield from ((place + 8 + 4 * i, ">I") for i in range(5))
        place += 12 + int.from_bytes(data[place : place + 4], "big")


def _riff(data: bytes) -> Iterator[Field]:
    yield 4, "<I"
    place = 12
    while place + 8 <= len(data):
        yield place + 4, "<I"
        yield from ((place + 8 + i, "<H") for i in range(0, 16, 2))
        yield from ((place + 9 + i, "<H") for i in range(0, 14, 2))
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2


def _gif(data: bytes) -> Iterator[Field]:
    yield from [(6, "<H"), (8, "<H"), (10, "B"), (11, "B")]
    for found in re.finditer(rb"\x2c", data):  # an image begins so; other bytes are like it, which does no harm
        yield from ((found.start() + i, "<H") for i in (1, 3, 5, 7))
        yield from ((found.start() + i, "B") for i in (9, 10))


def _bmp(data: bytes) -> Iterator[Field]:
    yield from ((place, "<I") for place in (2, 10, 14, 18, 22, 30, 34, 46, 50))
    yield from ((place, "<H") for place in (26, 28))


def _tiff(data: bytes, base: int = 0) -> Iterator[Field]:
    """Entries of all directories; in BigTIFF these are wider."""
    order = "<" if data[base : base + 2] == b"II" else ">"
    big = data[base + 2 : base + 4] in (b"+\0", b"\0+")
    count, wide, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    link, seen = base + (8 if big else 4), set[int]()
    while 0 <= link <= len(data) - 8 and link not in seen:
        seen.add(link)
        yield link, order + wide
        start = base + int(struct.unpack_from(order + wide, data, link)[0])
        if start + 8 > len(data):
            return
        yield start, order + count
        entries = struct.unpack_from(order + count, data, start)[0]
        first = start + struct.calcsize(order + count)
        for place in range(first, min(first + entries * entry, len(data)), entry):
            at = place + 4 + struct.calcsize(order + wide)
            yield from [(place, order + "H"), (place + 2, order + "H"), (place + 4, order + wide)]
            yield from [(at, order + wide), (at, order + "H"), (at, order + wide)]
        link = first + entries * entry


def _boxes(data: bytes) -> Iterator[Field]:
    """The lengths of the boxes of HEIC and AVIF and what stands first in them."""
    names = rb"ftyp|meta|hdlr|iloc|iinf|infe|iprp|ipco|ispe|pixi|av1C|hvcC|ipma|clap|irot|mdat|moov|trak|stsz|stco|tkhd"
    for found in re.finditer(names, data):
        yield found.start() - 4, ">I"
        yield from ((found.end() + i, ">I") for i in (4, 8, 12))
        yield from ((found.end() + i, "B") for i in range(8))
