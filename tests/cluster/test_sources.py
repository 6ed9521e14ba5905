"""Sources of photos, cut into parts."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafgraft.cluster.sources import LARGEST, SMALLEST, Found, Part, parts, refs
from leafgraft.errors import UserError
from leafgraft.photos.decode import UnreadablePhoto

FOUND = st.builds(Found, st.text(min_size=1), st.text(), st.text(max_size=5))


def many(count: int, stamp: str = "") -> list[Found]:
    return [Found(f"photos/{number}.jpg", "rose", stamp) for number in range(count)]


@given(st.lists(FOUND, min_size=1, max_size=300))
def test_parts_hold_every_photo_once_and_in_order(photos: list[Found]) -> None:
    found = list(parts(photos))
    assert [(path, label) for part in found for path, label in zip(part.paths, part.labels, strict=True)] == [
        (photo.path, photo.label) for photo in photos
    ]
    assert [part.number for part in found] == list(range(len(found)))
    assert all(Part.unpacked(part.packed()) == part for part in found)


@given(st.lists(FOUND, min_size=1, max_size=200), st.data())
def test_a_changed_photo_changes_the_key_of_its_part_alone(photos: list[Found], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(photos) - 1))
    changed = list(photos)
    changed[place] = Found(photos[place].path, photos[place].label, photos[place].stamp + "!")
    before, after = (list(parts(some)) for some in (photos, changed))
    differ = [one.number for one, other in zip(before, after, strict=True) if one.key != other.key]
    assert differ == [place // SMALLEST]


def test_parts_grow_with_their_number() -> None:
    sizes = [len(part.paths) for part in parts(many(40_000))]
    assert sizes[0] == SMALLEST
    assert max(sizes) == LARGEST // 2
    assert sizes[:-1] == sorted(sizes[:-1])


def test_a_folder_is_read_in_the_order_of_the_paths(photos: Path) -> None:
    (photos / "cactus-b").mkdir()
    shutil.copy(next((photos / "cactus").iterdir()), photos / "cactus-b" / "z.jpg")
    (photos / ".hidden").write_bytes(b"")
    found = [ref for part in parts(str(photos)) for ref in refs(part, str(photos))]
    paths = [ref.path for ref in found]
    assert paths == sorted(paths)
    assert len(paths) == 18
    assert {ref.label for ref in found} == {"cactus", "cactus-b", "fern"}
    assert found[0].read() == Path(found[0].path).read_bytes()
    shutil.rmtree(photos / "cactus-b")


def test_photos_in_parquet(photos: Path, tmp_path: Path) -> None:
    files = sorted(photos.rglob("*.jpg"))
    content = [path.read_bytes() for path in files]
    plain = pa.table({"image": content, "label": [path.parent.name for path in files], "path": [p.name for p in files]})
    pq.write_table(plain, tmp_path / "a.parquet", row_group_size=7)
    faces = [{"bytes": data, "path": None} for data in content[:-1]] + [{"bytes": None, "path": "gone.jpg"}]
    pq.write_table(pa.table({"image": faces}), tmp_path / "b.parquet")

    found = [[ref for ref in refs(part, str(tmp_path))] for part in parts(str(tmp_path))]  # noqa: C416
    assert [len(some) for some in found] == [7, 7, 3, 17]
    assert [ref.read() for some in found[:3] for ref in some] == content
    assert [(ref.path, ref.label) for some in found[:3] for ref in some] == [(p.name, p.parent.name) for p in files]
    assert found[3][2].path.endswith("b.parquet#0.2")
    with pytest.raises(UnreadablePhoto, match="no bytes"):
        found[3][-1].read()


def test_photos_in_a_webdataset_shard(photos: Path, tmp_path: Path) -> None:
    files = sorted(photos.rglob("*.jpg"))

    def add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        shard.addfile(member, io.BytesIO(data))

    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for number, path in enumerate(files):
            add(shard, f"x/{number:04d}.seg.png", b"not the photo")
            add(shard, f"x/{number:04d}.jpg", path.read_bytes())
            add(shard, f"x/{number:04d}.cls", path.parent.name.encode())
    [part] = parts(str(tmp_path / "shard.tar"))
    found = list(refs(part, str(tmp_path / "shard.tar")))
    assert [ref.label for ref in found] == [path.parent.name for path in files]
    assert [ref.read() for ref in found] == [path.read_bytes() for path in files]
    assert found[1].path == f"{tmp_path}/shard.tar/x/0001"


@pytest.mark.parametrize(
    ("address", "reason"), [("nowhere", "There is nothing at"), ("s4://x", "s4://x cannot be opened"), ("", "no photo")]
)
def test_what_is_not_there_is_said(address: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=reason):
        list(parts(address or str(tmp_path)))


def test_a_parquet_file_without_photos_is_said(tmp_path: Path) -> None:
    pq.write_table(pa.table({"height": [1.0]}), tmp_path / "a.parquet")
    [part] = parts(str(tmp_path))
    with pytest.raises(UserError, match="no column of photos"):
        list(refs(part, str(tmp_path)))
