"""Hostile bundles, each made from a good one by one change: the change, and the reason for which it must be refused."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from leafgraft.files import sha256

Change = Callable[[Path], None]


class Payload:
    """Creates a file where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.trace),)


def seal(folder: Path) -> None:
    """Write the manifest that belongs to the files: the digest must not be what refuses them."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in content["sha256"]:
        if (folder / name).is_file() and (folder / name).stat().st_size < 10**9:
            content["sha256"][name] = sha256(folder / name)
    put(path, json.dumps(content))


def put(path: Path, content: str | bytes) -> None:
    """Replace a file, whose content other bundles share."""
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def trace(folder: Path) -> Path:
    """What a payload would leave."""
    return folder.parent / "ran"


def text(name: str, content: str | bytes) -> Change:
    return lambda folder: put(folder / name, content)


def edited(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        before = (folder / name).read_text(encoding="utf-8")
        assert old in before, f"{old} is not in {name}"
        put(folder / name, before.replace(old, new, 1))

    return change


def calibrated(**content: Any) -> Change:
    good = {"temperature": 1.0, "strangers": None, "photos": 0}
    return text("calibration.json", json.dumps(good | content))


def arrays(name: str, **changes: Any) -> Change:
    """Other arrays in a file; None takes one away."""

    def change(folder: Path) -> None:
        with np.load(folder / name) as file:
            content = {key: file[key] for key in file.files} | changes
        (folder / name).unlink()
        with (folder / name).open("wb") as out:
            np.savez(out, **{key: value for key, value in content.items() if value is not None})

    return change


def pickled(name: str, key: str) -> Change:
    def change(folder: Path) -> None:
        arrays(name, **{key: np.array([Payload(trace(folder))], object)})(folder)

    return change


def bare_pickle(folder: Path) -> None:
    import pickle

    put(folder / "known.npz", pickle.dumps(Payload(trace(folder))))


def member(name: str, entry: str | zipfile.ZipInfo, content: bytes = b"", packing: int = zipfile.ZIP_STORED) -> Change:
    """One more member in an archive."""

    def change(folder: Path) -> None:
        put(folder / name, (folder / name).read_bytes())  # parted from the good one
        with zipfile.ZipFile(folder / name, "a") as file:
            file.writestr(entry, content, packing)

    return change


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def npy(shape: tuple[int, ...], dtype: str = "<f2", data: bytes = b"") -> bytes:
    """An array as a file, whose header may lie."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue() + data


def packed(name: str) -> Change:
    """A quarter of a gigabyte of zeros in a thousandth of that."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        with (
            zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
            file.open("features.npy", "w") as out,
        ):
            out.write(npy((1 << 17, 1 << 10)))
            for _ in range(4):
                out.write(bytes(1 << 26))

    return change


def replaced(name: str, entry: str, content: bytes) -> Change:
    """Another content of a member."""

    def change(folder: Path) -> None:
        with zipfile.ZipFile(folder / name) as file:
            members = {info.filename: file.read(info) for info in file.infolist()}
        (folder / name).unlink()
        with zipfile.ZipFile(folder / name, "w") as file:
            for key, value in (members | {entry: content}).items():
                file.writestr(key, value)

    return change


def long_catalogue(folder: Path) -> None:
    """The end of the archive claims a list of members of 2 GB."""
    data = bytearray((folder / "known.npz").read_bytes())
    data[-10:-6] = struct.pack("<I", 1 << 31)
    put(folder / "known.npz", bytes(data))


def instead(name: str, make: Callable[[Path], None]) -> Change:
    """Something else in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def sparse(path: Path) -> None:
    """Three gigabytes that take no room."""
    path.touch()
    os.truncate(path, 3_000_000_000)


def elsewhere(path: Path) -> None:
    """A link to a good file outside."""
    outside = path.parent.parent / "outside.json"
    outside.write_text('["a", "b"]', encoding="utf-8")
    path.symlink_to(outside)


def unsealed(change: Change) -> Change:
    """A change of the manifest itself, which stays as it is made."""
    change.__dict__["sealed"] = False
    return change


def traversal(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    content["sha256"]["../../etc/passwd"] = "0" * 64
    put(folder / "manifest.json", json.dumps(content))


CONVOLUTION = 'pads_begin="0, 0" pads_end="0, 0" auto_pad="valid"'
GROWING = 'pads_begin="80000, 80000" pads_end="0, 0" auto_pad="explicit"'
BOMB = '<!DOCTYPE net [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>\n<net'
ENTITY = '<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n<net'

ANSWERING: dict[str, tuple[Change, str]] = {
    "a pickle among the photos": (pickled("known.npz", "features"), "'features.npy' is a pickle of Python objects"),
    "a pickle in the head": (pickled("head.npz", "k_0"), "'k_0.npy' is a pickle of Python objects"),
    "a bare pickle": (bare_pickle, r"known\.npz is refused: it is no whole ZIP archive"),
    "a bomb of zeros": (packed("known.npz"), "'features.npy' is compressed in a way"),
    "a lying shape": (replaced("known.npz", "features.npy", npy((1 << 20, 1 << 20))), "claims the shape"),
    "a negative shape": (replaced("known.npz", "features.npy", npy((-2, -4), data=bytes(16))), "claims the shape"),
    "no array": (replaced("known.npz", "labels.npy", b"\x93NUMPY\1\0\xff\xff"), "'labels.npy' is no NumPy array"),
    "a member above": (member("known.npz", "../evil.npy"), r"'\.\./evil\.npy' leads out of the archive"),
    "an absolute member": (member("head.npz", "/tmp/evil.npy"), "'/tmp/evil.npy' leads out of the archive"),
    "a member by drive": (member("head.npz", "C:evil.npy"), "'C:evil.npy' leads out of the archive"),
    "a member that is a link": (member("known.npz", link("x"), b"/etc/passwd"), "'x' is a link or a folder"),
    "an endless catalogue": (long_catalogue, "an archive with a list of members of over"),
    "a surplus array": (arrays("known.npz", more=np.zeros(2)), "it holds features, labels, more, paths instead of"),
    "a missing array": (arrays("head.npz", rooted=None), "is refused: it holds .* instead of"),
    "features that are no numbers": (
        arrays("known.npz", features=np.full((2, 4), np.nan, np.float16)), "its table of features holds numbers that"
    ),
    "features of another type": (arrays("known.npz", features=np.zeros((2, 4))), "is of the type float64, not float16"),
    "features of another width": (arrays("known.npz", features=np.zeros((2, 5), np.float16)), "features of 5 numbers"),
    "a photo of no species": (arrays("known.npz", labels=np.array([0, 7])), "it labels a photo 7 of 2 species"),
    "fewer labels than photos": (arrays("known.npz", labels=np.array([0])), r"the shapes \(2, 4\), \(1,\) and \(2,\)"),
    "a path with a NUL": (arrays("known.npz", paths=np.array(["a\0b", "c"])), "a path with a NUL"),
    "letters beyond Unicode": (
        replaced("known.npz", "paths.npy", npy((2,), "<U1", b"\xff\xff\xff\x7f" * 2)), "letters that are no Unicode"
    ),
    "a head for other species": (
        arrays("head.npz", k_0=np.zeros((4, 3), np.float32), b_0=np.zeros(3, np.float32)), "leads from 4 features to 3"
    ),
    "a head that is infinite": (arrays("head.npz", b_0=np.full(2, np.inf, np.float32)), "a layer in it holds numbers"),
    "labels that are no list": (text("labels.json", '{"a": "b"}'), "it is no list of up to"),
    "labels that are numbers": (text("labels.json", "[1, 2]"), "hold something that is no name"),
    "a species twice": (text("labels.json", '["a", "a"]'), "hold 'a' twice"),
    "a species that a terminal obeys": (text("labels.json", '["a", "\\u001b[2J"]'), "with control characters"),
    "a species too many": (text("labels.json", '["a", "b", "c"]'), r"species"),
    "an endless name": (text("labels.json", json.dumps(["a" * 2_000, "b"])), "a species with 2,000 letters"),
    "labels of 17 MB": (text("labels.json", b" " * 17_000_000), "17,000,000 bytes, more than the 16,000,000"),
    "JSON that is nested deeply": (text("labels.json", "[" * 100_000), "its JSON is nested too deeply"),
    "a temperature of 0": (calibrated(temperature=0), "it has the temperature 0"),
    "a temperature that is no number": (calibrated(temperature=float("nan")), "it holds NaN, which is no number"),
    "a temperature beyond numbers": (text("calibration.json", '{"temperature": 1e999}'), "it holds 1e999"),
    "a temperature in words": (calibrated(temperature="hot"), "it holds 'hot' where a number belongs"),
    "a deviation below 0": (
        calibrated(strangers={"distance": [0, -1], "entropy": [0, 1], "threshold": 0}), "the standard deviation -1"
    ),
    "a calibration of another make": (text("calibration.json", "[]"), "it is no calibration"),
    "a card that is no text": (text("card.md", b"\xff\xfe\xfd"), r"card\.md is refused: it is no text in UTF-8"),
    "a link to a good file": (instead("labels.json", elsewhere), "it is a symbolic link, not a plain file"),
    "a pipe": (instead("card.md", os.mkfifo), "it is a pipe, not a plain file"),
    "a folder": (instead("head.npz", Path.mkdir), "it is a folder, not a plain file"),
    "weights of 3 GB that take no room": (instead("model.bin", sparse), "3,000,000,000 bytes, more than"),
    "a manifest that leads out": (unsealed(traversal), r"it names '\.\./\.\./etc/passwd', which is no file"),
    "a manifest of 1 MB": (unsealed(text("manifest.json", b" " * 1_000_000)), "1,000,000 bytes, more than the 64,000"),
    "entities that grow": (edited("model.xml", "<net", BOMB), "it has a DOCTYPE or entities"),
    "an entity from a file": (edited("model.xml", "<net", ENTITY), "it has a DOCTYPE or entities"),
    "no XML": (text("model.xml", b"\x08\x07onnx"), "it is no XML"),
    "a network of another format": (edited("model.xml", 'version="11"', 'version="7"'), "no network of OpenVINO's"),
    "a layer of an extension": (edited("model.xml", 'version="opset1"', 'version="extension"'), "no standard set"),
    "a layer that repeats": (edited("model.xml", 'type="ReLU"', 'type="TensorIterator"'), "'TensorIterator'"),
    "a constant beyond the weights": (edited("model.xml", 'offset="0"', 'offset="999999999"'), "would end at byte"),
    "a constant of a negative size": (edited("model.xml", 'offset="0"', 'offset="-8"'), "which are no numbers"),
    "a constant of texts": (edited("model.xml", 'element_type="f32"', 'element_type="string"'), "no numbers"),
    "photos that are huge": (edited("model.xml", "?,224,224,3", "?,99999,99999,3"), "not uint8 photos"),
    "a layer that grows": (edited("model.xml", CONVOLUTION, GROWING), "numbers of a photo"),
}  # fmt: skip
"""What `leafgraft.bundle.Bundle` meets."""
