"""Two Ray nodes of one processor each against one process on the same two; a node that dies; a million photos.

python -m benchmarks.cluster RUN [features names store death training step million] [--photos 5000]

RUN is the folder of a finished run, whose classifier answers. The photos are drawn. What is found stands in
docs/scale.md. Nothing else may run meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil

from benchmarks.common import leafgraft
from leafgraft.cluster.parts import Done, done
from leafgraft.cluster.session import connected, prepared
from leafgraft.cluster.sources import Found, Ref, parts

PLACE = Path("build/benchmarks")
SECONDS_A_PHOTO = 0.02
"""What a photo takes a core: 1 / 50 s, about the measured rate of bf16 on this machine. The million sleeps for it."""


@contextmanager
def two_nodes(processors: int = 1) -> Iterator[Any]:
    """A cluster of two nodes, which believe to have so many processors each."""
    prepared()
    from ray.cluster_utils import Cluster

    # Ray's own tools for tests leave 150 MB for objects, where a real node has a third of its memory.
    each = {"num_cpus": processors, "object_store_memory": 10**9}
    cluster = Cluster(initialize_head=True, head_node_args=each | {"include_dashboard": False})
    try:
        cluster.add_node(**each)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def measure_features(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Features of JPEG files, by one process and by two nodes, with nothing in a bank."""

    def command(output: Path, *more: object) -> float:
        with tempfile.TemporaryDirectory(dir=PLACE) as cache:
            return leafgraft("features", photos, "-o", output, *more, cache=_with_weights(Path(cache)))[0]

    one, two = _both(command, folder / "one.npz", folder / "two.npz")
    return {"one": one, "two": two} | _compared(folder / "one.npz", folder / "two.npz")


def measure_names(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Answers of a classifier."""

    def command(output: Path, *more: object) -> float:
        return leafgraft("predict", run, photos, "-o", output, "--engine", "auto", *more)[0]

    one, two = _both(command, folder / "one.jsonl", folder / "two.jsonl")
    pairs = list(zip(*((folder / name).read_text().splitlines() for name in ("one.jsonl", "two.jsonl")), strict=True))
    rows = [(json.loads(a), json.loads(b)) for a, b in pairs]
    gaps = [
        abs(x["probability"] - y["probability"])
        for a, b in rows
        for x, y in zip(a.get("predictions", ()), b.get("predictions", ()), strict=True)
    ]
    same = all(a["path"] == b["path"] for a, b in rows)
    return {"one": one, "two": two, "same rows": same, "largest difference": max(gaps)}


def measure_store(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Features of photos in a store of objects on loopback."""
    import boto3
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # or it writes a line for each request
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="herbarium")
    query = f"?scheme=http&endpoint_override={host}:{port}"
    store, _ = fs.FileSystem.from_uri(f"s3://herbarium/x{query}")
    fs.copy_files(str(photos), "herbarium/photos", fs.LocalFileSystem(), store)
    with tempfile.TemporaryDirectory(dir=PLACE) as cache:
        one, _ = leafgraft("features", photos, "-o", folder / "one.npz", cache=_with_weights(Path(cache)))
    try:
        with two_nodes() as cluster:
            address = f"s3://herbarium/photos{query}"
            before = time.process_time()
            seconds, _ = leafgraft("features", address, "-o", folder / "store.npz", "--cluster", cluster.address)
            serving = time.process_time() - before  # the server is a thread of this process
    finally:
        server.stop()
    return {
        "one process, local files": one,
        "seconds": seconds,
        "processor seconds of the server": serving,
        # The rows have other paths, those in the store.
        "largest difference": _compared(folder / "one.npz", folder / "store.npz")["difference"],
    }


def measure_death(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Features while one of the two nodes dies in the middle."""
    output = folder / "death.npz"
    with two_nodes() as cluster, tempfile.TemporaryDirectory(dir=PLACE) as cache:
        node = cluster.list_all_nodes()[-1]

        def kill() -> None:
            parts = output.with_name(f"{output.name}.parts")
            while len(list(parts.glob("*.parquet"))) < 20:
                time.sleep(0.1)
            cluster.remove_node(node, allow_graceful=False)

        killer = Thread(target=kill)
        killer.start()
        options = ("-o", output, "--cluster", cluster.address)
        seconds, _ = leafgraft("features", photos, *options, cache=_with_weights(Path(cache)))
        killer.join()
    return {"seconds": seconds} | _compared(folder / "one.npz", output)


def measure_training(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Whole trainings by the recipe best, three seeds, each by one process and by two workers with the same batch."""
    found: dict[str, Any] = {}
    with two_nodes() as cluster:
        for seed in range(3):
            for name, options in (("one", ()), ("two", ("--cluster", cluster.address))):
                output = folder / f"{name}-{seed}"
                seconds, _ = leafgraft("train", photos, "-o", output, "--recipe", "best", "--seed", seed, *options)
                with (output / "history.csv").open(newline="") as file:
                    fine = [row for row in csv.DictReader(file) if row["stage"] == "fine"]
                metrics = json.loads((output / "metrics.json").read_text())
                found[f"{name} {seed}"] = {
                    "accuracy": metrics["test"]["accuracy"],
                    "log_loss": metrics["test"]["log_loss"],
                    "whole": round(seconds, 1),
                    "parts": metrics["seconds"],
                    **{
                        figure: [round(float(row[figure]), 4) for row in fine]
                        for figure in ("loss", "val_loss", "val_accuracy", "seconds")
                    },
                }
                print(name, seed, json.dumps(found[f"{name} {seed}"]), flush=True)
    return found


def measure_step(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Seconds that two workers take to add up gradients, and to read shards: what `benchmarks.scaling` goes on from."""
    from ray.train import LoggingConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    with two_nodes() as cluster, connected(cluster.address):
        folder.mkdir(exist_ok=True)
        TensorflowTrainer(
            _adding_up,
            train_loop_config={"file": str(folder / "step.json")},
            scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}, placement_strategy="SPREAD"),
            run_config=RunConfig(
                name="step", storage_path=str(folder / "train"), logging_config=LoggingConfig(log_level="CRITICAL")
            ),
        ).fit()
    return dict(json.loads((folder / "step.json").read_text())) | _reading(folder / "shards")


def _adding_up(config: dict[str, Any]) -> None:
    """In each of two workers: seconds to add up so many millions of float32 numbers, the median of 20."""
    import ray.train
    import tensorflow as tf

    import leafgraft._tensorflow  # noqa: F401  it sets up TensorFlow

    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def add(numbers: Any) -> Any:
        return strategy.run(lambda one: tf.distribute.get_replica_context().all_reduce("SUM", one + 0.0), (numbers,))

    found = {}
    for millions in (0.001, 1, 4.5, 17, 68):
        numbers = tf.ones(int(millions * 1e6))
        add(numbers)
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            np.asarray(add(numbers)[:1])
            seconds.append(time.perf_counter() - start)
        found[f"{millions} M numbers, s"] = round(float(np.median(seconds)), 5)
    if ray.train.get_context().get_world_rank() == 0:
        Path(config["file"]).write_text(json.dumps(found))


def _reading(folder: Path) -> dict[str, Any]:
    """MB a second of shards, read as training does, from files that the system has in memory."""
    import pyarrow as pa
    from pyarrow import parquet

    from leafgraft.cluster.shards import Shards
    from leafgraft.cluster.work import column

    folder.mkdir()
    shape, each, chance = (7, 7, 2048), 128, np.random.default_rng(0)
    for number in range(8):
        values = np.maximum(chance.normal(size=(each, 7 * 7 * 2048)), 0).astype(np.float16)  # as a ReLU leaves them
        kind = pa.binary(values.shape[1] * 2)
        tensor = pa.Array.from_buffers(kind, each, [None, pa.py_buffer(values)])
        parquet.write_table(pa.table({"label": ["a"] * each, column(0, 0): tensor}), folder / f"{number}.parquet")
    shards = Shards(str(folder), tuple(f"{number}.parquet" for number in range(8)), (each,) * 8, (shape,), 1, ("a",))
    start = time.perf_counter()
    photos = sum(len(labels) for _, labels in shards.batches(32, (0,)))
    seconds = time.perf_counter() - start
    return {"read, MB/s": round(photos * 7 * 7 * 2048 * 2 / 1e6 / seconds), "read, photos/s": round(photos / seconds)}


@dataclass
class Sleeping:
    """Takes as long as the network would, and writes as many numbers."""

    log: str

    def __call__(self, photos: Iterable[Ref]) -> Any:
        """Sleep; see `leafgraft.cluster.work.Work`."""
        import pyarrow as pa

        paths = [photo.path for photo in photos]
        time.sleep(SECONDS_A_PHOTO * len(paths))
        with Path(self.log).open("a") as file:
            file.write(f"{len(paths)}\n")
        rows = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2048 * len(paths), np.float16)), 2048)
        return pa.table({"path": paths, "problem": [""] * len(paths), "features": rows})


def million(folder: Path, address: str, workers: int) -> Done:
    """A million photos that are listed, not read; run in a process of its own, which may be killed."""
    listing = (Found(f"photos/{number % 5000:05d}-{number // 5000:03d}.jpg", "rose", "") for number in range(10**6))
    with connected(address):
        return done(parts(listing), "/", Sleeping, (str(folder / "log"),), "", str(folder / "parts"), workers)


def measure_million(photos: Path, run: Path, folder: Path) -> dict[str, Any]:
    """Memory over a million rows, and what a restart after a kill at 60 % does again.

    Sleeping takes no processor, so twenty workers sleep at a time.
    """
    memory: list[tuple[float, float]] = []
    with two_nodes(processors=5) as cluster:
        command = [sys.executable, "-m", "benchmarks.cluster", str(folder), "--million", cluster.address]

        def rows_done() -> int:
            log = folder / "log"
            return sum(map(int, log.read_text().split())) if log.exists() else 0

        start = time.perf_counter()
        first = subprocess.Popen(command)
        with _watched(first.pid, memory):
            while rows_done() < 600_000 and first.poll() is None:
                time.sleep(1)
            first.kill()
            first.wait()
        time.sleep(10)  # until the cluster has let go of the workers of a driver that is gone
        again = subprocess.Popen(command)
        with _watched(again.pid, memory):
            again.wait()
        seconds = time.perf_counter() - start
    tenth = max(1, len(memory) // 10)
    return {
        "status": again.returncode,
        "seconds": seconds,
        "rows done twice": rows_done() - 10**6,
        "driver MB, early and late": [round(float(np.median([one[0] for one in some]))) for some in
                                      (memory[tenth : 2 * tenth], memory[-tenth:])],
        "workers MB, early and late": [round(float(np.median([one[1] for one in some]))) for some in
                                       (memory[tenth : 2 * tenth], memory[-tenth:])],
    }  # fmt: skip


@contextmanager
def _watched(driver: int, memory: list[tuple[float, float]]) -> Iterator[None]:
    """Note the memory of a driver, and the largest of a worker, every five seconds."""
    over = Event()

    def watch() -> None:
        while not over.wait(5):
            found = [one.info for one in psutil.process_iter(["cmdline", "memory_info"])]
            workers = [one["memory_info"].rss / 1e6 for one in found if "MapWorker" in " ".join(one["cmdline"] or ())]
            try:
                memory.append((psutil.Process(driver).memory_info().rss / 1e6, max(workers, default=0.0)))
            except psutil.NoSuchProcess:
                return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _both(command: Callable[..., float], one: Path, two: Path) -> tuple[list[float], list[float]]:
    """Seconds of whole commands, in turns."""
    alone, shared = [], []
    with two_nodes() as cluster:
        for _ in range(3):
            alone.append(command(one))
            shared.append(command(two, "--cluster", cluster.address))
    return alone, shared


def _compared(one: Path, two: Path) -> dict[str, Any]:
    """Whether two files of features have the same rows, and their largest difference."""
    with np.load(one) as a, np.load(two) as b:
        same = all(bool((a[name] == b[name]).all()) for name in ("path", "label"))
        return {"same rows": same, "difference": float(np.abs(a["features"] - b["features"]).max())}


def _with_weights(cache: Path) -> Path:
    """An empty cache but for the weights and the converted network, which both sides find."""
    from leafgraft import imagenet
    from leafgraft.engine.backbone import backbone

    weights = imagenet.fetch()
    for file in weights.parent.glob("resnet50*"):
        (cache / file.name).hardlink_to(file)
    made = backbone(weights, weights.parent / "bank").openvino().parent
    (cache / "bank").mkdir()
    (cache / "bank" / made.name).symlink_to(made)
    return cache


MEASUREMENTS = {
    "features": measure_features,
    "names": measure_names,
    "store": measure_store,
    "death": measure_death,
    "training": measure_training,
    "step": measure_step,
    "million": measure_million,
}


def main() -> None:
    """Measure, and print what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--train-on", type=Path, help="a folder of photos for the training, instead of drawn ones")
    parser.add_argument("--million", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.million:
        million(arguments.run, arguments.million, 20)
        return
    from leafgraft.photos.garden import SPECIES, grow

    photos = grow(PLACE / f"garden-{arguments.photos}", per_species=arguments.photos // len(SPECIES), seed=0)
    with tempfile.TemporaryDirectory(dir=PLACE) as name:
        for wanted in arguments.names or MEASUREMENTS:
            of = arguments.train_on if wanted == "training" and arguments.train_on else photos
            print(wanted, json.dumps(MEASUREMENTS[wanted](of, arguments.run, Path(name).absolute())), flush=True)


if __name__ == "__main__":
    main()
