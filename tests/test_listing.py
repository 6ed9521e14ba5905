from __future__ import annotations

from pathlib import Path

import pytest

from leafgraft.errors import UserError
from leafgraft.listing import listed

pytestmark = pytest.mark.quick


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.jpg", "b/1.jpg", "a.jpg", "b/deep/x.jpg", ".hidden.jpg", "b/.thumbs/y.jpg", "c [1].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    return tmp_path


def test_a_folder_gives_its_files_in_order_without_hidden_ones_and_circles(tree: Path) -> None:
    names = [path.relative_to(tree).as_posix() for path in listed([str(tree)])]
    assert names == ["a.jpg", "b/1.jpg", "b/2.jpg", "b/deep/x.jpg", "c [1].jpg"]


def test_patterns_files_and_lines(tree: Path) -> None:
    assert [path.name for path in listed([f"{tree}/b/*.jpg"])] == ["1.jpg", "2.jpg"]
    assert [path.name for path in listed([f"{tree}/**/x.jpg"])] == ["x.jpg"]
    assert list(listed([f"{tree}/c [1].jpg", "none.jpg"])) == [tree / "c [1].jpg", Path("none.jpg")]
    assert list(listed(["-"], ["one.jpg\n", "\n", "two  .jpg\r\n"])) == [Path("one.jpg"), Path("two  .jpg")]
    assert list(listed([])) == []


def test_a_csv_gives_its_column_path(tree: Path) -> None:
    listing = tree / "list.csv"
    listing.write_text(f"label,path\nx,b/1.jpg\n,\ny,{tree}/a.jpg\n", encoding="utf-8")
    assert list(listed([str(listing)])) == [tree / "b" / "1.jpg", tree / "a.jpg"]
    listing.write_text("file\na.jpg\n", encoding="utf-8")
    with pytest.raises(UserError, match="has no column path; it has file"):
        list(listed([str(listing)]))
    listing.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="has no column path; it has none"):
        list(listed([str(listing)]))
