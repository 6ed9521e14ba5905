"""What a name like ``hf:owner/name`` asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafgraft.errors import UserError
from leafgraft.hubs.request import Request, parse


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("hf:owner/name", Request("hf", "owner/name")),
        (
            "hf:owner/name,config=full,image=img,label=fine label,split=train,revision=v1.0",
            Request("hf", "owner/name", False, "full", "img", "fine label", "train", "v1.0"),
        ),
        ("tfds:flowers/big:2.1.0,split=train", Request("tfds", "flowers/big:2.1.0", split="train")),
    ],
)
def test_a_name_of_a_hub_is_read_and_written_alike(text: str, request_: Request) -> None:
    assert parse(text) == request_
    assert parse(Path(text)) == request_
    assert str(request_) == text


@pytest.mark.parametrize("text", ["photos", "C:\\photos", "C:/photos", "s3://bucket/photos", "HF:x", "./hf:x", "", "-"])
def test_only_two_prefixes_stand_for_hubs(text: str) -> None:
    assert parse(text) is None


def test_a_folder_that_is_called_so_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("hf:plants") is not None
    (tmp_path / "hf:plants").mkdir()
    assert parse("hf:plants") is None
    assert parse(Path("hf:plants")) is None


def test_a_folder_of_this_disk_may_stand_behind_hf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    expected = Request("hf", (tmp_path / "owner" / "name").as_posix(), local=True, label="kind")
    assert parse("hf:./owner/name,label=kind") == expected
    assert parse("hf:owner/name,label=kind") == expected
    assert parse(f"hf:{tmp_path}/owner/name,label=kind") == expected
    assert parse("tfds:owner") == Request("tfds", "owner")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hf:", "names no data set"),
        ("hf:owner/name,lable=x", "has the option lable, and hf: knows config, image, label, split, revision"),
        ("tfds:name,config=x", "go into the name, as tfds:NAME/CONFIG:VERSION"),
        ("hf:./nowhere", "There is no folder ./nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse(text)
