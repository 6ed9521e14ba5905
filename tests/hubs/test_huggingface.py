"""Data sets in the formats of Hugging Face."""

from __future__ import annotations

import csv
import os
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from leafgraft.hubs.huggingface import opened
from leafgraft.hubs.request import Request
from leafgraft.hubs.table import Table


def at(folder: Path, **options: str) -> Request:
    return Request("hf", folder.as_posix(), local=True, **options)


def rows(table: Table, split: str = "train", label: str = "label") -> list[tuple[bytes | str, str]]:
    return list(table.rows(split, "image", label))


def on_disk(folder: Path) -> list[tuple[bytes | str, str]]:
    return sorted((path.read_bytes(), path.parent.name) for path in folder.rglob("*.jpg"))


def drawn(datasets: Any, plants: Path, **columns: Any) -> Any:
    """A data set of the plants to train on, with the bytes of their files inside."""
    files = sorted((plants / "train").rglob("*.jpg"))
    features = datasets.Features({"image": datasets.Image(), **{name: kind for name, (kind, _) in columns.items()}})
    content = {"image": [{"bytes": path.read_bytes(), "path": path.name} for path in files]}
    return datasets.Dataset.from_dict(content | {name: values for name, (_, values) in columns.items()}, features)


def kinds_of(plants: Path) -> list[str]:
    return [path.parent.name for path in sorted((plants / "train").rglob("*.jpg"))]


def test_a_folder_of_pictures_gives_its_very_bytes(datasets: Any, plants: Path) -> None:
    table = opened(at(plants))
    assert table.columns == {"image": "pictures", "label": "classes"}
    assert table.splits == {"train": 12, "test": 6}
    for split in ("train", "test"):
        assert sorted(rows(table, split)) == on_disk(plants / split)


def test_a_saved_data_set_gives_its_very_bytes(datasets: Any, plants: Path, tmp_path: Path) -> None:
    kinds = kinds_of(plants)
    names = datasets.ClassLabel(names=sorted(set(kinds)))
    data = drawn(datasets, plants, label=(names, kinds))
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=data, test=data.select(range(2))).save_to_disk(tmp_path / "two")
    assert sorted(rows(opened(at(tmp_path / "one")), "photos")) == on_disk(plants / "train")
    table = opened(at(tmp_path / "two"))
    assert table.splits == {"train": 12, "test": 2}
    assert sorted(rows(table)) == on_disk(plants / "train")


def test_columns_are_told_by_what_they_hold(datasets: Any, plants: Path, tmp_path: Path) -> None:
    value, n = datasets.Value, 12
    data = drawn(
        datasets,
        plants,
        label=(datasets.ClassLabel(num_classes=2), [0, 1, -1, None] * 3),
        name=(value("string"), ["Rosa alba L.", None, "", "a/b"] * 3),
        number=(value("int32"), list(range(n))),
        sick=(value("bool"), [True, False] * 6),
        height=(value("float32"), [0.5] * n),
        boxes=(datasets.List(value("int64")), [[1, 2]] * n),
        raw=(value("binary"), [b"x"] * n),
    )
    data.save_to_disk(tmp_path / "data")
    table = opened(at(tmp_path / "data"))
    assert table.columns == {
        "image": "pictures", "label": "classes", "name": "text", "number": "numbers", "sick": "numbers",
        "height": "other", "boxes": "other", "raw": "bytes",
    }  # fmt: skip
    named = {
        name: [label for _, label in rows(table, "photos", name)][:4] for name in ("label", "name", "number", "sick")
    }
    assert named == {
        "label": ["0", "1", "", ""],
        "name": ["Rosa alba L.", "", "", "a/b"],
        "number": ["0", "1", "2", "3"],
        "sick": ["True", "False", "True", "False"],
    }
    assert next(table.rows("photos", "raw", "name")) == (b"x", "Rosa alba L.")


def test_parquet_files_of_others_give_their_bytes(datasets: Any, plants: Path, tmp_path: Path) -> None:
    files = sorted((plants / "train").rglob("*.jpg"))
    image = [{"bytes": path.read_bytes(), "path": path.name} for path in files]
    (tmp_path / "data").mkdir()
    parquet.write_table(pa.table({"image": image, "label": kinds_of(plants)}), tmp_path / "data" / "train.parquet")
    table = opened(at(tmp_path / "data"))
    assert table.columns["label"] == "text"
    assert sorted(rows(table)) == on_disk(plants / "train")


def test_one_of_several_configurations_is_taken(datasets: Any, plants: Path, tmp_path: Path) -> None:
    kinds = kinds_of(plants)
    data = drawn(datasets, plants, label=(datasets.Value("string"), kinds))
    for name, count in (("few", 2), ("many", 12)):
        (tmp_path / name).mkdir()
        data.select(range(count)).to_parquet(tmp_path / name / "train.parquet")
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("few", "many"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert opened(at(tmp_path, config="few")).splits == {"train": 2}
    assert opened(at(tmp_path, config="many")).splits == {"train": 12}
    with pytest.raises(ValueError, match="Config name is missing"):
        opened(at(tmp_path))


def test_pictures_in_an_archive_are_read_there(datasets: Any, plants: Path, tmp_path: Path) -> None:
    files = sorted((plants / "train").rglob("*.jpg"))
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(plants))
        lines = [f"{path.relative_to(plants).as_posix()},{path.parent.name}\n" for path in files]
        archive.writestr("metadata.csv", "".join(["file_name,label\n", *lines]))
    assert sorted(rows(opened(at(tmp_path)))) == on_disk(plants / "train")


def test_a_row_reads_no_file_from_elsewhere(datasets: Any, plants: Path, tmp_path: Path) -> None:
    secret = next((plants / "train").rglob("*.jpg"))
    inner = tmp_path / "data"
    inner.mkdir()
    (inner / "own.jpg").write_bytes(secret.read_bytes())
    (inner / "link.jpg").symlink_to(secret)
    with zipfile.ZipFile(inner / "some.zip", "w") as archive:
        archive.writestr("a.jpg", b"a")
    paths = [
        inner / "own.jpg", secret, inner / ".." / secret.name, inner / "link.jpg", inner / "gone.jpg", None,
        f"zip://a.jpg::{inner}/some.zip", f"zip://b.jpg::{inner}/some.zip", f"tar://a.jpg::{inner}/some.zip",
        f"zip://a.jpg::zip://b.zip::{inner}/some.zip", "http://127.0.0.1:9/a.jpg", f"zip://a::{inner}/own.jpg",
    ]  # fmt: skip
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    image = [{"bytes": None, "path": None if path is None else str(path)} for path in paths]
    table = pa.table({"image": image, "label": list(range(len(paths)))}, features.arrow_schema)
    parquet.write_table(table, inner / "train.parquet")
    found = [content for content, _ in rows(opened(at(inner)))]
    outside, unreadable = "a file outside of the data set", "a file that cannot be read"
    assert found == [
        secret.read_bytes(), outside, outside, outside, unreadable, "no picture",
        b"a", unreadable, unreadable, unreadable, outside, unreadable,
    ]  # fmt: skip


def test_a_change_shows_in_the_revision(datasets: Any, plants: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / "train.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), ("a", "b")])
    before = opened(at(tmp_path / "data")).revision
    assert opened(at(tmp_path / "data")).revision == before
    os.utime(table, (1, 1))
    assert opened(at(tmp_path / "data")).revision != before
