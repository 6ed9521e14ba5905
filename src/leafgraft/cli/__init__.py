"""The command line: one small file per command; what they share is in `screen`."""

from __future__ import annotations

from leafgraft.cli.main import main

__all__ = ["main"]
