"""``leafgraft doctor``."""

from __future__ import annotations

import platform
import shutil

from leafgraft import imagenet, machine
from leafgraft.cli.screen import Debug, Json, result
from leafgraft.engine.prefix import capabilities


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Say what this machine has and whether everything is in place; worth adding to a report of a problem.

    For example:

      leafgraft doctor --json
    """
    import psutil

    from leafgraft._openvino import ov

    cache = imagenet.cache_dir()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    facts = {
        "versions": machine.versions(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": ov.Core().get_property("CPU", "FULL_DEVICE_NAME"),
        "capabilities": sorted(capabilities()),
        "cores": machine.cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "memory_available_gb": round(psutil.virtual_memory().available / 1e9, 1),
        "cache": str(cache),
        "disk_free_gb": round(shutil.disk_usage(there).free / 1e9, 1),
        "weights": imagenet.status(),
        "weights_sources": imagenet.probe(),
    }
    result("\n".join(_lines(facts)), facts, json)


def _lines(facts: dict[str, object], indent: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in facts.items():
        title = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            lines += [f"{title}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{title}: {', '.join(value) if isinstance(value, list) else value}")
    return lines
