"""A classifier as a file for other runtimes: ONNX, OpenVINO, LiteRT, SavedModel and Keras.

Each takes uint8 RGB photos (n, 224, 224, 3) and gives calibrated probabilities. Preprocessing and temperature are in
the graph, names of the species in the file. A file is kept only if its own runtime has given the answers of the bundle.

- ``exporter.export`` does it all and reports.
- ``graph`` makes the calibrated network, ``facts`` what a file says of itself.
- ``onnx_file``, ``openvino_file``, ``litert_file`` and ``keras_files`` write one format each, and open it.
- ``pictures`` finds the photos to check and to calibrate on; ``verify`` compares.
"""

from __future__ import annotations

from leafgraft.export.exporter import FORMATS, Report, export

__all__ = ["FORMATS", "Report", "export"]
