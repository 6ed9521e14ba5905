"""From files to labelled uint8 arrays; nothing here knows of Keras.

- ``folder.scan`` lists the photos of a folder or a CSV, each checked by decoding it once.
- ``split.split`` (not imported here, where it would hide its own module) puts whole groups on the training, validation
  or test side, species by species.
- ``manifest`` writes and reads that list as a CSV.
- ``decode`` turns a file into the *canvas*: uint8 RGB with a shorter side of 256 and a longer one of at most 384.
- ``augment.random_view`` draws one rotated, shifted, mirrored 224 x 224 view of a canvas.
"""

from __future__ import annotations

from leafgraft.photos.augment import Augmentation, random_view
from leafgraft.photos.decode import CANVAS_SHORT, SIDE, UnreadablePhoto, canvas, centre, load_canvas, open_photo
from leafgraft.photos.folder import scan, unread
from leafgraft.photos.manifest import read_manifest, write_manifest
from leafgraft.photos.photo import Photo

__all__ = [
    "CANVAS_SHORT",
    "SIDE",
    "Augmentation",
    "Photo",
    "UnreadablePhoto",
    "canvas",
    "centre",
    "load_canvas",
    "open_photo",
    "random_view",
    "read_manifest",
    "scan",
    "unread",
    "write_manifest",
]
