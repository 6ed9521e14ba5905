"""Runs notebooks from top to bottom, each in a fresh kernel of this interpreter and a folder of its own.

As a program it keeps what they print and draw in them; script/notebooks calls it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

PATIENCE = 600
"""Seconds that a cell may take."""


def executed(path: Path, *, beyond: Sequence[str] = ()) -> Any:
    """A notebook as it is after all of its cells have run, and code beyond it; an error in one is raised."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in beyond]
    with tempfile.TemporaryDirectory() as folder:
        kernel = AsyncKernelManager(
            # Without folders of kernels there is one, which is this interpreter.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            # Files of the folder instead of ports, which another process might take in between.
            transport="ipc",
            ip=f"{folder}/kernel",
            connection_file=f"{folder}/kernel.json",
        )
        place = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, km=kernel, timeout=PATIENCE, resources=place, record_timing=False)
        client.execute(cleanup_kc=True)  # it leaves a manager that it was given alone otherwise
    return notebook


def main() -> None:
    """Run the notebooks that are named, and keep what they print and draw."""
    for name in sys.argv[1:]:
        notebook = executed(Path(name))
        notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
        nbformat.write(notebook, name)
        print(f"{name}: {Path(name).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
