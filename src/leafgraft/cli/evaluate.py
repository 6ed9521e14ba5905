"""``leafgraft evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from leafgraft.bundle import Bundle, find
from leafgraft.cli.screen import HUBS, Debug, FollowLinks, Json, at_hand, bars, result, say
from leafgraft.engine.prefix import BATCH
from leafgraft.errors import UserError
from leafgraft.photos import Photo, read_manifest, scan
from leafgraft.photos.dataset import Dataset
from leafgraft.verdict.metrics import confusion, most_confused, score, sentence

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a run, or the model/ in it.")]


def evaluate(
    model: Model,
    photos: Annotated[
        Path, typer.Argument(metavar="PHOTOS", help=f"A folder per species; or a CSV with path,label; or {HUBS}.")
    ],
    follow_links: FollowLinks = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a classifier on photographs that it has not been trained on.

    For example:

      leafgraft evaluate run other-photos

      leafgraft evaluate run/model photos.csv --json
    """
    bundle = Bundle(model, batch=BATCH)
    photos = at_hand(photos)
    with bars() as progress:
        told = partial(progress, "Reading the photos")
        found = scan(photos, fewest=1, follow_links=follow_links, progress=told)
        unseen = _unseen([photo for photo in found if not photo.problem], model)
        if not unseen:
            raise UserError(f"{model} was trained on all photos in {photos}; name others.")
        foreign = sorted({photo.label for photo in unseen} - set(bundle.classes))
        if foreign:
            raise UserError(
                f"{photos} shows {', '.join(foreign[:5])}{' and more' if len(foreign) > 5 else ''}, which {model} "
                f"has not learned; it knows {', '.join(bundle.classes)}."
            )
        data = Dataset.of_photos(unseen, bundle.classes)
        canvases = (data.canvas(i) for i in range(len(data)))
        probabilities = bundle.predict_proba(progress.track("Naming the plants", canvases, len(data)))
    figures = score(data.labels, probabilities, groups=data.groups)
    pairs = most_confused(confusion(data.labels, probabilities.argmax(axis=1), len(bundle.classes)), bundle.classes)
    troubled = [photo for photo in found if photo.problem]
    for photo in troubled[:5]:
        say(f"left out: {photo.path}: {photo.problem}")
    if len(troubled) > 5:
        say(f"left out: {len(troubled) - 5} more")
    if trained := len(found) - len(troubled) - len(unseen):
        say(f"left out: {trained} photos that it was trained on, or that are not on the test side of the split")
    text = sentence(figures, kind="")
    text += f"\nMacro F1 {figures['macro_f1']:.3f}, right among the first three {100 * figures['top3']:.1f} %."
    for truth, named, count in pairs:
        text += f"\n{count} x {truth} taken for {named}"
    left_out = {"unreadable": len(troubled), "trained_on": trained}
    result(text, {**figures, "most_confused": pairs, "left_out": left_out}, json)


def _unseen(photos: list[Photo], model: Path) -> list[Photo]:
    """The photos that say something of the classifier: none that its run trained on; the test side of a split."""
    manifest = find(model).parent / "manifest.csv"
    rows = read_manifest(manifest) if manifest.is_file() else []
    trained = {row.sha256 for row in rows if row.split == "train"}
    for_test = any(photo.split == "test" for photo in photos)
    sides = ("", "test") if for_test else ("", "val")
    return [photo for photo in photos if photo.split in sides and photo.sha256 not in trained]
