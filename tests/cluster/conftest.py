"""A Ray cluster of two nodes on this machine, and a store of objects."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from benchmarks.cluster import two_nodes


@pytest.fixture(scope="module")
def keys() -> Iterator[None]:
    """What one shows to a store of objects; nodes have it from where they are started."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(names, ("test", "test", "us-east-1"), strict=True):
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def nodes(keys: None) -> Iterator[Any]:
    """Two nodes of one processor each, begun for the tests of one file and ended after them."""
    with ExitStack() as stack:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cluster = stack.enter_context(two_nodes())
        yield cluster
    left = [one.name() for one in psutil.Process().children(recursive=True) if "ray" in one.name()]
    assert not left


@pytest.fixture
def address(nodes: Any) -> str:
    """Where the cluster is."""
    return str(nodes.address)


@pytest.fixture(scope="module")
def store(keys: None) -> Iterator[str]:
    """The endpoint of a store of objects like Amazon's, with the bucket ``herbarium``."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="herbarium")
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def photos(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen photos of two species and one that is broken."""
    folder = tmp_path_factory.mktemp("two") / "photos"
    for name in ("cactus", "fern"):
        shutil.copytree(garden / name, folder / name)
    (folder / "fern" / "broken.jpg").write_bytes(b"broken")
    return folder
