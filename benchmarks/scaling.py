"""A model of fine-tuning on many workers: what a step takes, from figures that were measured on one and two.

python -m benchmarks.scaling [--photo 8.6] [--row 0.2] [--parameters 4.5] [--network 10] [--each 16]

A step is the slower of computing and reading, as shards are read ahead, then the adding up of gradients, then taking
the step:

    step = max(photos * photo, photos * row / reading) + sum(workers) + parameters * applying
    sum  = 2 (w - 1) / w * bytes / bandwidth + 2 (w - 1) * latency

The sum is that of a ring (Patarasu & Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002), which is what TensorFlow's
collectives do. Nothing is shuffled over the network: which photos share a shard is settled when they are listed, so the
model has no term for it; `--photos` says what it would cost to move every row once an epoch.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Machines:
    """What workers and the network between them do.

    Attributes:
        photo: seconds of one worker for a photo of a step.
        row: bytes of a photo in a shard.
        reading: bytes a second that one worker reads.
        store: bytes a second that the disk or store gives to all workers together.
        parameters: how many numbers learn.
        applying: seconds to take a step, for each of them.
        bandwidth: bytes a second that a worker sends, by its network card or its processor.
        latency: seconds of a message.
    """

    photo: float
    row: float
    reading: float
    store: float
    parameters: float
    applying: float
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
        return size / (max(computing, reading) + adding + self.parameters * self.applying)


def table(machines: Machines, each: int, least: int) -> str:
    """Rates of many workers, as Markdown: with ``each`` photos for each worker and step, ``least`` in all."""
    lines = [
        "| workers | photos a step | computing | reading | adding up | photos a second | times one | what limits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for workers in WORKERS:
        size = max(least, each * workers)
        parts = machines.step(workers, size)
        rate = machines.rate(workers, size)
        limit = ("computing", "reading", "adding up")[parts.index(max(parts))]
        seconds = " | ".join(f"{1000 * part:.0f} ms" for part in parts)
        times = rate / machines.rate(1, max(least, each))
        lines.append(f"| {workers} | {size:,} | {seconds} | {rate:,.0f} | {times:.1f} | {limit} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table for one kind of machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=float, default=8.6, help="milliseconds of a worker for a photo of a step")
    parser.add_argument("--row", type=float, default=0.2, help="MB of a photo in a shard")
    parser.add_argument("--reading", type=float, default=240, help="MB a second that a worker reads")
    parser.add_argument("--store", type=float, default=1250, help="MB a second of the disk or store, for all workers")
    parser.add_argument("--parameters", type=float, default=4.5, help="millions of numbers that learn")
    parser.add_argument("--applying", type=float, default=5.0, help="milliseconds a million to take a step")
    parser.add_argument("--sending", type=float, default=500, help="MB a second that a worker's processor can send")
    parser.add_argument("--network", type=float, default=10, help="Gbit a second of a network card")
    parser.add_argument("--latency", type=float, default=0.5, help="milliseconds of a message")
    parser.add_argument("--each", type=int, default=16, help="photos a step for each worker")
    parser.add_argument("--least", type=int, default=32, help="photos a step in all, at least")
    parser.add_argument("--photos", type=float, default=10, help="millions of photos that a shuffle would move")
    given = parser.parse_args()
    machines = Machines(
        photo=given.photo / 1000,
        row=given.row * 1e6,
        reading=given.reading * 1e6,
        store=given.store * 1e6,
        parameters=given.parameters * 1e6,
        applying=given.applying / 1e9,
        bandwidth=min(given.network * 1e9 / 8, given.sending * 1e6),
        latency=given.latency / 1000,
    )
    print(table(machines, given.each, given.least))
    moved = given.photos * machines.row
    hours = moved * 1e6 / (given.network * 1e9 / 8) / 3600
    print(f"\nTo move {moved / 1e6:,.1f} TB once, as a shuffle would, takes one network card {hours:,.1f} hours.")


if __name__ == "__main__":
    main()
