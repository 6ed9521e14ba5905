from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from leafgraft.engine.checkpoint import STATE, Checkpoint, Part
from leafgraft.errors import UserError

pytestmark = pytest.mark.quick

numbers: st.SearchStrategy[Any] = st.one_of(
    *(
        arrays.arrays(np.dtype(name), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        for name in ("float32", "float16", "int64", "uint8")
    )
)
facts = st.dictionaries(
    st.text(max_size=5), st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5))
)
parts = st.dictionaries(
    st.text("abc fold-", min_size=1, max_size=6), st.builds(Part, facts, st.lists(numbers, max_size=3)), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(parts=parts)
def test_every_part_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, parts: dict[str, Part]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint")
    before = Checkpoint(folder, "mine")
    for name, part in parts.items():
        before.keep(name, lambda part=part: part)  # type: ignore[misc]
    before.write()
    after = Checkpoint(folder, "mine")
    for name, part in parts.items():
        found = after.take(name)
        assert found is not None
        assert found.facts == part.facts
        for one, other in zip(found.arrays, part.arrays, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert after.take(name) is None
    assert len(list(folder.iterdir())) == 2


def written(folder: Path, say: list[str] | None = None) -> Checkpoint:
    checkpoint = Checkpoint(folder, "mine", say=lambda text: None if say is None else say.append(text))
    checkpoint.keep("part", lambda: Part({"epoch": 3}, [np.arange(5)]))
    checkpoint.write()
    return checkpoint


def test_what_nobody_has_asked_for_yet_is_not_lost(tmp_path: Path) -> None:
    written(tmp_path)
    second = Checkpoint(tmp_path, "mine")
    second.keep("other", lambda: Part({"worse": 1}))
    second.write()
    third = Checkpoint(tmp_path, "mine")
    assert third.take("part") is not None
    assert third.take("other") is not None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone", "no JSON", "other format", "list", "elsewhere"])
def test_a_damaged_one_is_told_of_and_not_trusted(tmp_path: Path, damage: str) -> None:
    written(tmp_path)
    state, (data,) = tmp_path / STATE, tmp_path.glob("arrays-*.npz")
    content = bytearray(data.read_bytes())
    match damage:
        case "truncated":
            data.write_bytes(content[:-7])
        case "flipped":
            content[len(content) // 2] ^= 1
            data.write_bytes(content)
        case "gone":
            data.unlink()
        case "no JSON":
            state.write_text("{", encoding="utf-8")
        case "list":
            state.write_text("[]", encoding="utf-8")
        case "other format":
            state.write_text(state.read_text().replace('"format": 1', '"format": 2'), encoding="utf-8")
        case "elsewhere":
            data.rename(tmp_path.parent / data.name)
            state.write_text(state.read_text().replace(data.name, f"../{data.name}"), encoding="utf-8")
    said: list[str] = []
    again = Checkpoint(tmp_path, "mine", say=said.append)
    assert said == [f"The checkpoint in {tmp_path} is damaged; the training begins again."]
    assert again.take("part") is None
    again.write()
    assert Checkpoint(tmp_path, "mine").take("part") is None


def test_one_of_other_photos_is_refused_and_stays(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(UserError, match="is of other photos or settings: put them back to go on"):
        Checkpoint(tmp_path, "yours")
    assert Checkpoint(tmp_path, "mine").take("part") is not None


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "arrays-0.npz").write_bytes(b"half")
    (tmp_path / f".leafgraft-{0:032x}.npz").write_bytes(b"half")
    assert Checkpoint(tmp_path, "mine").take("part") is not None
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pickled_array_is_no_array(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "mine")
    checkpoint.keep("part", lambda: Part({}, [np.array([{}], object)]))
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        checkpoint.write()
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize("tiny_disk", [64], indirect=True)
def test_a_full_disk_costs_no_more_than_the_checkpoint(tiny_disk: Path) -> None:
    said: list[str] = []
    checkpoint = written(tiny_disk / "checkpoint", said)
    checkpoint.keep("large", lambda: Part({}, [np.zeros(100_000)]))
    checkpoint.write()
    assert said[-1].startswith(
        f"No checkpoint could be written to {tiny_disk / 'checkpoint'} (No space left on device)"
    )
    again = Checkpoint(tiny_disk / "checkpoint", "mine")
    assert again.take("part") is not None
    assert again.take("large") is None


def test_a_folder_that_vanishes_is_told_of(tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "checkpoint")
    shutil.rmtree(tmp_path / "checkpoint")
    with pytest.raises(UserError, match="was removed while the training was at work"):
        checkpoint.write()


def test_a_wish_to_end_is_heeded_when_all_is_written(tmp_path: Path) -> None:
    wishes: list[int] = []
    checkpoint = Checkpoint(tmp_path, "mine", every=1e9, ending=lambda: bool(wishes))
    checkpoint.keep("part", lambda: Part({"epoch": 3}))
    assert not checkpoint.due
    wishes.append(1)
    assert checkpoint.due
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write()
    assert json.loads((tmp_path / STATE).read_text())["facts"] == {"part": {"epoch": 3}}


def test_one_within_another_goes_with_it(tmp_path: Path) -> None:
    outer = written(tmp_path)
    inner = outer.inner("fold-1")
    inner.keep("part", lambda: Part({"epoch": 9}))
    inner.write()
    found = outer.inner("fold-1").take("part")
    assert found is not None
    assert found.facts == {"epoch": 9}
    with pytest.raises(UserError):
        Checkpoint(tmp_path / "fold-1", "mine fold-2")
    outer.remove()
    assert not tmp_path.exists()
