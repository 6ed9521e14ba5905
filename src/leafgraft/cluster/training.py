"""A training on a Ray cluster: `leafgraft.engine.machines.Machines` by Ray Data and Ray Train."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.cluster import jobs
from leafgraft.cluster.parts import SHARE, Done
from leafgraft.cluster.session import Capacity, connected
from leafgraft.cluster.shards import Shards, numbers_in, photos_each
from leafgraft.cluster.sources import Found
from leafgraft.cluster.work import Views, column, network_files
from leafgraft.engine.machines import Course, Variables
from leafgraft.engine.store import Means, Prefix
from leafgraft.errors import UserError
from leafgraft.machine import room_for
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import CENTRE, PIXELS, Dataset
from leafgraft.photos.photo import Photo
from leafgraft.runfolder import CHECKPOINTS

LEAST = 16
"""Photos a step for each worker, at least: with fewer, the sum of the gradients takes longer than they do."""

FAILURES = 3
"""How often a training begins again from its last checkpoint after something has gone wrong, as when a machine dies."""


@contextmanager
def cluster(address: str, run: Path, *, engine: str = "auto", gpus: float = 0.0, every: float) -> Iterator[Cluster]:
    """Be connected to a cluster, for one training.

    Args:
        address: see `leafgraft.cluster.session.connected`.
        run: the folder of the run. What machines compute lies beside it in ``RUN.parts``, which all must see; it is
            removed when the block has ended well.
        engine: what computes the frozen layers; see `leafgraft.cluster.jobs.engine_of`.
        gpus: how many of them, or what share of one, each worker has.
        every: seconds between two checkpoints.

    Raises:
        UserError: there is no cluster, or none with such GPUs; or another engine was asked for.
    """
    jobs.engine_of(engine, gpus)
    folder = run.absolute().with_name(f"{run.name}.parts")
    with connected(address) as capacity:
        yield Cluster(address, capacity, folder, run.absolute() / CHECKPOINTS / "machines", gpus, every)
    shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """Other machines.

    Attributes:
        seen: what ResNet50 makes of the centre crops of photos that were scanned, float16 (2048,), by their SHA-256.
    """

    def __init__(
        self, address: str, capacity: Capacity, folder: Path, storage: Path, gpus: float, every: float
    ) -> None:
        """Use a cluster that this process is connected to; see `cluster`. Ray Train's checkpoints go to ``storage``."""
        self._address, self._folder, self._storage, self._gpus, self._every = address, folder, storage, gpus, every
        everywhere = capacity.workers_with(gpus)
        self._workers = everywhere if gpus else capacity.machines
        self._threads = capacity.smallest
        self.seen: dict[str, NDArray[np.float16]] = {}

    def scanned(self, scanning: Callable[..., list[Photo]], weights: Path, means: Means) -> list[Photo]:
        """Scan photos of this machine, and see what ResNet50 sees in them; see `leafgraft.cluster.jobs.scanned`.

        Args:
            scanning: `leafgraft.photos.scan` with all arguments but ``examine``.
            weights: a file with ResNet50's ImageNet weights.
            means: the folder of banks, where the network is kept, the engine, and who is told.
        """

        def look(source: jobs.Source) -> Done:
            folder = str(self._folder / "seen")
            return jobs.features(
                source, weights, means.bank, means.engine, folder, self._address, means.progress, self._gpus
            )

        photos, rows = jobs.scanned(scanning, look)
        usable = (photo.sha256 for photo in photos if not photo.problem)
        self.seen = dict(zip(usable, rows.astype(np.float16), strict=True))
        return photos

    def rows(
        self, prefix: Prefix, means: Means, data: Dataset, numbers: Sequence[int], augmentation: Augmentation
    ) -> NDArray[np.floating[Any]]:
        """See `leafgraft.engine.machines.Machines`."""
        done, order, _ = self._views(prefix, means, data, numbers, augmentation)
        found = room_for((len(data), len(numbers), *prefix.shapes[0]), self._folder)
        names = [column(prefix.skipped, view) for view in range(len(numbers))]
        start = 0
        for table in done.tables(names):
            places = order[start : start + len(table)]
            for view, name in enumerate(names):
                found[places, view] = numbers_in(table, name).reshape(-1, *prefix.shapes[0])
            start += len(table)
        return found

    def shards(
        self, prefix: Prefix, means: Means, data: Dataset, numbers: Sequence[int], augmentation: Augmentation
    ) -> Shards:
        """See `leafgraft.engine.machines.Machines`."""
        done, _, counts = self._views(prefix, means, data, numbers, augmentation)
        shapes = tuple(tuple(output.shape[1:]) for output in prefix.keras().outputs[: prefix.skipped])
        return Shards(done.folder, done.names, counts, shapes, len(numbers), data.classes)

    def _views(
        self, prefix: Prefix, means: Means, data: Dataset, numbers: Sequence[int], augmentation: Augmentation
    ) -> tuple[Done, NDArray[np.int64], tuple[int, ...]]:
        """Have views looked at; returns the files, the photo that each row is of, and the rows of each file.

        Raises:
            UserError: a photo has changed since it was scanned, or is gone.
        """
        order = np.array(sorted(range(len(data)), key=lambda i: data.keys[i]), np.int64)
        listing = [
            Found(str(data.source[i]), data.classes[data.labels[i]], data.keys[i]) for i in order.tolist()
        ]  # by their content, which is by chance
        engine, key = jobs.engine_of(means.engine, self._gpus)
        ranges = "" if list(numbers) == [CENTRE] else f" {list(numbers)} {augmentation}"
        settings = f"views {key} {prefix.network} {PIXELS}{ranges}"
        whose = hashlib.sha256("\n".join([settings, *(photo.stamp for photo in listing)]).encode()).hexdigest()
        done = jobs.run(
            listing, Views, (network_files(prefix, gpu=bool(self._gpus)), engine, list(numbers), augmentation),
            settings, str(self._folder / f"views-{whose[:16]}"), self._address, means.progress,
            size=photos_each(len(listing)), gpus=self._gpus,
        )  # fmt: skip
        counts = []
        expected = iter(listing)
        for table in done.tables(["sha256", "problem"]):
            counts.append(len(table))
            for row, photo in zip(table.to_pylist(), expected, strict=False):
                if row["problem"]:
                    raise UserError(f"{photo.path} cannot be read any more ({row['problem']}); run the command again.")
                if row["sha256"] != photo.stamp:
                    raise UserError(f"{photo.path} has changed since it was scanned; run the command again.")
        return done, order, tuple(counts)

    def size(self, size: int) -> int:
        """See `leafgraft.engine.machines.Machines`: at least `LEAST` photos for each worker."""
        return max(size, LEAST * self._workers)

    def fit(
        self,
        course: Course,
        shards: Shards,
        watched: Shards | None,
        place: Any,
        variables: Variables,
        told: Callable[[int, dict[str, float], Variables], bool],
        stepped: Callable[[int], None],
    ) -> None:
        """See `leafgraft.engine.machines.Machines`.

        A larger batch has a higher rate, by the root of how much larger it is (Malladi et al. 2022,
        https://arxiv.org/abs/2205.10287, for Adam).

        Raises:
            UserError: the workers failed again and again.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from leafgraft._tensorflow import keras
        from leafgraft.cluster.learner import Task

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        desk = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote(place.epoch)
        task = Task(
            suffix=course.suffix.to_json(),
            loss=keras.losses.serialize(course.suffix.loss),
            optimizer=keras.optimizers.serialize(course.suffix.optimizer),
            order=course.order,
            variables=variables,
            shards=shards,
            watched=watched,
            epochs=course.epochs,
            size=course.size,
            factor=math.sqrt(course.size / course.asked),
            schedule=course.schedule,
            seed=course.seed,
            weights=course.weights,
            policy="mixed_bfloat16" if course.half else None,
            threads=self._threads,
            epoch=place.epoch,
            every=self._every,
            desk=desk,
        )
        trainer = self._trainer(task, ray.put(task))
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(trainer.fit)
            try:
                while True:
                    over = running.done()
                    steps, news = ray.get(desk.news.remote())
                    stepped(steps)
                    for epoch, logs, values in news:
                        ray.get(desk.answer.remote(epoch, told(epoch, logs, values)))
                    if over:
                        break
                    time.sleep(0.1)
            except BaseException:
                ray.get(desk.end.remote())  # the workers keep a checkpoint and come to their end
                running.exception()
                raise
        if error := running.exception():
            reason = str(error.__cause__ or error).strip().splitlines()[-1]
            raise UserError(f"The workers of the cluster could not go on: {reason}") from error

    def _trainer(self, task: Any, reference: Any) -> Any:
        from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
        from ray.train.tensorflow import TensorflowTrainer

        from leafgraft.cluster.learner import learn

        # A run goes on from a checkpoint of the same name. Where the workers are other ones, so are their shares of
        # an epoch.
        belongs = [task.shards.names, task.seed, task.epochs, task.size, self._workers]
        name = hashlib.sha256(json.dumps(belongs).encode()).hexdigest()[:16]
        resources = {"CPU": SHARE * self._threads} | ({"GPU": self._gpus} if self._gpus else {})
        return TensorflowTrainer(
            learn,
            train_loop_config={"task": reference},
            scaling_config=ScalingConfig(
                num_workers=self._workers,
                use_gpu=bool(self._gpus),
                resources_per_worker=resources,
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(
                name=name,
                storage_path=str(self._storage),
                failure_config=FailureConfig(max_failures=FAILURES),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
                logging_config=LoggingConfig(log_level="CRITICAL"),
            ),
        )


class Desk:
    """Where workers and the process that asked them leave word for each other; an actor."""

    def __init__(self, known: int) -> None:
        """Begin where so many epochs are known."""
        self._known, self._steps, self._ending = known, 0, False
        self._news: list[tuple[int, dict[str, float], Variables]] = []
        self._answers: dict[int, bool] = {}

    def step(self, done: int) -> bool:
        """A worker says how many steps are done; returns whether somebody wants to end."""
        self._steps = done
        return self._ending

    def tell(self, epoch: int, done: int, logs: dict[str, float], values: Variables) -> None:
        """A worker tells of an epoch, and how many steps are done."""
        self._steps = done
        self._news.append((epoch, logs, values))

    def verdict(self, epoch: int) -> bool | None:
        """Whether an epoch was the last; None as long as nobody has said."""
        return True if self._ending else self._answers.get(epoch)

    def news(self) -> tuple[int, list[tuple[int, dict[str, float], Variables]]]:
        """How many steps are done, and which epochs are new."""
        news, self._news = self._news, []
        return self._steps, news

    def answer(self, epoch: int, over: bool) -> None:
        """Say whether an epoch was the last; from now on it is known."""
        self._answers[epoch] = over
        self._known = max(self._known, epoch + 1)

    def known(self) -> int:
        """How many epochs whoever asked for them knows of."""
        return self._known

    def end(self) -> None:
        """Somebody wants to end."""
        self._ending = True
