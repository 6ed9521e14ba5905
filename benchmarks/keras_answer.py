"""One photo named with Keras, as a script of the textbook has it; the other side of ``leafgraft predict``.

python -m benchmarks.keras_answer MODEL.keras LABELS.json PHOTO
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Load the model and the photo, and print the likeliest species."""
    model_path, labels, photo = sys.argv[1:]

    import keras
    import numpy as np
    from keras.utils import img_to_array, load_img

    model = keras.models.load_model(model_path)
    pixels = img_to_array(load_img(photo, target_size=(224, 224)))
    row = model.predict(pixels[None], verbose=0)[0]
    name = json.loads(Path(labels).read_text(encoding="utf-8"))[int(np.argmax(row))]
    print(f"{photo}: {name} {100 * row.max():.1f} %")


if __name__ == "__main__":
    main()
