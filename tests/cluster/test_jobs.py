"""Features and answers on two Ray nodes are those of one machine, whatever becomes of a node."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from leafgraft import photos as rooms
from leafgraft.cluster import jobs
from leafgraft.cluster.parts import Done, done
from leafgraft.cluster.session import connected
from leafgraft.cluster.sources import Found, Ref, parts
from leafgraft.engine.backbone import pooled
from leafgraft.engine.store import Means
from leafgraft.errors import UserError
from leafgraft.photos.dataset import Dataset


@pytest.fixture
def look(address: str, weights: Path, bank: Path, tmp_path: Path) -> Callable[..., Done]:
    """Features on the cluster, into a folder of the test's own."""
    return partial(
        jobs.features, weights=weights, root=bank, precision="fp32", folder=str(tmp_path / "parts"), cluster=address
    )


def alone(photos: Path, weights: Path, bank: Path) -> tuple[list[rooms.Photo], NDArray[np.float32]]:
    """Features on one machine."""
    found = rooms.scan(photos, fewest=1)
    usable = [photo for photo in found if not photo.problem]
    data = Dataset.of_photos(usable, sorted({photo.label for photo in usable}))
    return found, pooled(weights, data, Means(bank, "fp32"))


def test_features_are_those_of_one_machine(
    look: Callable[..., Done], photos: Path, weights: Path, bank: Path, tmp_path: Path
) -> None:
    expected, rows = alone(photos, weights, bank)
    found, features = jobs.scanned(partial(rooms.scan, photos, fewest=1), look)
    assert found == expected
    np.testing.assert_allclose(features, rows, atol=1e-3)

    again = look(jobs.listed(rooms.unread(photos)))
    assert (again.kept, again.photos, again.problems) == (1, 17, 1)
    outside, link = tmp_path / "private.jpg", photos / "cactus" / "link.jpg"
    shutil.copy(next((photos / "cactus").iterdir()), outside)
    link.symlink_to(outside)
    before = list((tmp_path / "parts").iterdir())
    changed = look(jobs.listed(rooms.unread(photos)))
    link.unlink()
    assert (changed.kept, changed.photos, changed.problems) == (0, 18, 2)
    after = list((tmp_path / "parts").iterdir())
    assert len(before) == len(after) == 1
    assert before != after
    [table] = changed.tables()
    [row] = [row for row in table.to_pylist() if row["path"] == str(link)]
    assert row["problem"] == "a link that leaves the folder; --follow-links takes it"
    assert (row["sha256"], row["features"]) == ("", None)


def test_from_a_store_of_objects_and_back(
    look: Callable[..., Done], store: str, photos: Path, weights: Path, bank: Path
) -> None:
    from pyarrow import fs

    suffix = f"?scheme=http&endpoint_override={store}"
    system, _ = fs.FileSystem.from_uri(f"s3://herbarium/x{suffix}")
    fs.copy_files(str(photos), "herbarium/photos", fs.LocalFileSystem(), system)
    found = look(f"s3://herbarium/photos{suffix}", folder=f"s3://herbarium/features{suffix}")
    [table] = found.tables()
    paths, labels, features = jobs.embedded(table)
    expected, rows = alone(photos, weights, bank)
    usable = [photo for photo in expected if not photo.problem]
    assert list(paths) == [f"herbarium/photos/{photo.path.relative_to(photos)}" for photo in usable]
    assert list(labels) == [photo.label for photo in usable]
    np.testing.assert_allclose(features, rows, atol=1e-3)
    assert table.column("problem").to_pylist().count("not an image: text") == 1


@dataclass
class Slow:
    """Takes a while for each photo, and says who has been at it."""

    seconds: float
    log: str

    def __call__(self, photos: Iterable[Ref]) -> Any:
        paths = []
        for photo in photos:
            time.sleep(self.seconds)
            paths.append(photo.path)
        with Path(self.log).open("a") as file:
            file.write(f"{paths[0]}\n")
        return pa.table({"path": paths, "problem": [""] * len(paths)})


def listing(count: int) -> list[Found]:
    return [Found(f"{number:05d}.jpg", "", "") for number in range(count)]


def paths_in(found: Done) -> list[str]:
    return [path for table in found.tables() for path in table.column("path").to_pylist()]


@pytest.mark.slow
def test_a_node_dies(nodes: Any, address: str, tmp_path: Path) -> None:
    """The parts of the node that died are done by the one that is left, and nothing is there twice."""
    node = nodes.add_node(num_cpus=1)
    log, folder = tmp_path / "log", tmp_path / "parts"

    def kill() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and len(list(folder.glob("*"))) < 4:
            time.sleep(0.05)
        nodes.remove_node(node, allow_graceful=False)

    killer = Thread(target=kill)
    killer.start()
    with connected(address) as capacity:
        assert capacity.processors == 3
        found = done(parts(listing(1500)), "/", Slow, (0.01, str(log)), "", str(folder), capacity.processors)
    killer.join()
    assert paths_in(found) == [photo.path for photo in listing(1500)]
    assert len(list(folder.iterdir())) == len(found.names) == 24


def test_what_is_done_is_not_done_again(address: str, tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "parts"
    with connected(address) as capacity:
        first = done(parts(listing(640)), "/", Slow, (0.0, str(log)), "x", str(folder), capacity.processors)
        for name in first.names[6:]:
            (folder / name).unlink()
        log.unlink()
        again = done(parts(listing(640)), "/", Slow, (0.0, str(log)), "x", str(folder), capacity.processors)
        assert sorted(log.read_text().split()) == [f"{64 * part:05d}.jpg" for part in range(6, 10)]
        assert (again.names, again.kept, again.photos) == (first.names, 6, 640)
        other = done(parts(listing(640)), "/", Slow, (0.0, str(log)), "y", str(folder), capacity.processors)
    assert other.kept == 0
    assert {path.name for path in folder.iterdir()} == set(other.names)


def test_bad_requests_are_one_sentence(refused: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    assert "There is no Ray cluster at 127.0.0.1:1" in refused(
        "features", photos, "-o", tmp_path / "f.npz", "--cluster", "127.0.0.1:1", "--precision", "fp32"
    )
    assert "name it with -o" in refused("predict", tmp_path, photos, "--cluster", "auto")
    with pytest.raises(UserError, match="is written as a folder"):
        jobs.file_of("s3://herbarium/features.npz?endpoint_override=127.0.0.1:80")
    assert jobs.file_of("s3://herbarium/features?endpoint_override=127.0.0.1:80") is None
    with pytest.raises(UserError, match="not in int8"):
        jobs.features([], photos, tmp_path, "int8", str(tmp_path / "x"), "local")
    assert not list(tmp_path.iterdir())


def test_the_parts_go_when_the_file_is_made(tmp_path: Path) -> None:
    with jobs.parts_of(str(tmp_path / "a.csv")) as folder:
        Path(folder).mkdir()
        (Path(folder) / f"part-0000000-{'0' * 16}.parquet").touch()
        (Path(folder) / "mine").touch()
    assert [path.name for path in Path(folder).iterdir()] == ["mine"]
    shutil.rmtree(folder)
    Path(folder).mkdir()
    with pytest.raises(ZeroDivisionError), jobs.parts_of(str(tmp_path / "a.csv")):
        _ = 1 / 0
    assert Path(folder).exists()  # to go on with
