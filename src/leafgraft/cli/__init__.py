"""The command line: one small file per command, and here what they share."""

from __future__ import annotations

from leafgraft.cli.main import main

__all__ = ["main"]
