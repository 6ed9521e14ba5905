"""A model of fine-tuning on many workers: what a step takes, from figures that were measured on two.

python -m benchmarks.scaling [--photo 0.0086] [--reading 400] [--adding 1.1] [--network 10] [--parameters 17]

A step is the slower of computing and reading, as shards are read ahead, and then the adding up of gradients:

    step = max(photos * photo, photos * row / reading) + sum(workers)
    sum  = 2 (w - 1) / w * bytes / bandwidth + 2 (w - 1) * latency

The sum is that of a ring (Patarasu & Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002), which is what TensorFlow's
collectives do. Nothing is shuffled over the network: which photos share a shard is settled when they are listed, so the
model has no term for it; to move every row once an epoch would cost what the last column says.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Machines:
    """What workers and the network between them do.

    Attributes:
        photo: seconds of one worker for a photo of a step.
        row: bytes of a photo in a shard.
        reading: bytes a second that one worker reads.
        store: bytes a second that the disk or store gives to all workers together.
        parameters: how many numbers learn.
        bandwidth: bytes a second between two workers.
        latency: seconds of a message.
    """

    photo: float
    row: float
    reading: float
    store: float
    parameters: float
    bandwidth: float
    latency: float

    def adding(self, workers: int) -> float:
        """Seconds to add up the gradients of so many workers."""
        around = 2 * (workers - 1)
        return around / workers * 4 * self.parameters / self.bandwidth + around * self.latency

    def step(self, workers: int, size: int) -> tuple[float, float, float]:
        """Seconds of a step of ``size`` photos, all workers together: computing, reading, adding up."""
        local = -(-size // workers)
        return local * self.photo, local * self.row / min(self.reading, self.store / workers), self.adding(workers)

    def rate(self, workers: int, size: int) -> float:
        """Photos a second of all workers."""
        computing, reading, adding = self.step(workers, size)
        return size / (max(computing, reading) + adding)


def table(machines: Machines, each: int, least: int) -> str:
    """Rates for many workers, as Markdown: with ``each`` photos for each worker and step, ``least`` in all."""
    lines = [
        "| workers | photos a step | computing | reading | adding up | photos a second | of the ideal | what limits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for workers in WORKERS:
        size = max(least, each * workers)
        parts = machines.step(workers, size)
        rate = machines.rate(workers, size)
        limit = ("computing", "reading", "adding up")[parts.index(max(parts))]
        ideal = rate / (workers / machines.photo)
        seconds = " | ".join(f"{1000 * part:.0f} ms" for part in parts)
        lines.append(f"| {workers} | {size} | {seconds} | {rate:,.0f} | {100 * ideal:.0f} % | {limit} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table for one kind of machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=float, default=0.0086, help="seconds of a worker for a photo of a step")
    parser.add_argument("--row", type=float, default=0.25, help="MB of a photo in a shard")
    parser.add_argument("--reading", type=float, default=400, help="MB a second that a worker reads")
    parser.add_argument("--store", type=float, default=1250, help="MB a second of the disk or store, for all workers")
    parser.add_argument("--parameters", type=float, default=17, help="millions of numbers that learn")
    parser.add_argument("--network", type=float, default=10, help="Gbit a second between two machines")
    parser.add_argument("--latency", type=float, default=0.1, help="milliseconds of a message")
    parser.add_argument("--each", type=int, default=16, help="photos a step for each worker")
    parser.add_argument("--least", type=int, default=32, help="photos a step in all, at least")
    given = parser.parse_args()
    machines = Machines(
        given.photo, given.row * 1e6, given.reading * 1e6, given.store * 1e6, given.parameters * 1e6,
        given.network * 1e9 / 8, given.latency / 1000,
    )  # fmt: skip
    print(table(machines, given.each, given.least))


if __name__ == "__main__":
    main()
