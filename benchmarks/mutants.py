"""Mutation tests: a small fault is planted in the code, one at a time, and the tests have to notice.

    python -m benchmarks.mutants                    all five; an hour and more on two cores
    python -m benchmarks.mutants split calibration  some; the page keeps the others as they were

The faults are those of cosmic-ray. Of those that change the same sign in the same way (a plus may become ten other
operators) two are taken, and none in an annotation, which nothing evaluates. Each is tried in a process that is forked
from one that has loaded the libraries, and in which the module is loaded with the fault in place: nothing on the disk
changes. A fault lives if all tests named below pass. Results are kept in build/mutants/, from where docs/mutants.md is
written.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "build" / "mutants"
PAGE = ROOT / "docs" / "mutants.md"
INTRODUCTION = """A line of code may be run by a test and yet be wrong without any test noticing. So small faults are
planted in the code on which all figures rest, one at a time: another operator, a number that is one too high, a
condition turned round, a loop that is never entered. `python -m benchmarks.mutants` plants them, runs the tests named
here, and writes this page; the faults are those of cosmic-ray, at most two of the same kind at the same sign."""
EACH = 2
"""Faults taken of those that change the same sign in the same way."""
SURVIVES, NOTICED = 10, 11
"""Statuses of a process that has tried a fault."""
PATIENCE = 300.0
"""Seconds after which a fault that makes the tests run on and on counts as noticed."""


@dataclass(frozen=True)
class Target:
    """A module that faults are planted in, and the tests that have to notice them."""

    what: str
    module: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()
    """Only in these; all when empty."""

    @property
    def path(self) -> Path:
        """The file of the module."""
        return ROOT / "src" / Path(*self.module.split(".")).with_suffix(".py")


TARGETS = {
    "split": Target("the split", "leafgraft.photos.split", ("tests/photos/test_split.py",)),
    "cut": Target(
        "freezing and the cut", "leafgraft.network", ("tests/test_network.py",),
        ("base_of", "freeze", "unfreeze_last", "takes_photos", "to", "cut", "cut_for", "cut_at_pool", "_changes"),
    ),
    "bank": Target(
        "rows of the bank and their keys", "leafgraft.engine.bank",
        ("tests/engine/test_bank.py", "tests/engine/test_store.py"),
    ),
    "calibration": Target("calibration", "leafgraft.verdict.calibration", ("tests/verdict/test_calibration.py",)),
    "bundle": Target(
        "the saved classifier", "leafgraft.bundle", ("tests/test_bundle.py", "tests/chaos/test_bundles.py")
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Where and how the code is changed."""

    operator: str
    occurrence: int
    line: int

    @property
    def kind(self) -> str:
        """The family of operators, for instance ReplaceBinaryOperator."""
        return self.operator.partition("/")[2].partition("_")[0]


def faults(target: Target) -> list[Fault]:
    """What is planted in a module, in the order of its lines; the same for the same code."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = target.path.read_text(encoding="utf-8")
    barred, allowed = _positions(source, target.functions)
    tree = get_ast(source)
    found: defaultdict[tuple[str, Any], list[Fault]] = defaultdict(list)
    for name in operator_names():
        if get_operator(name).arguments():  # it replaces variables by names that somebody has to think of
            continue
        operator = get_operator(name)()
        places = (place for node in ast_nodes(tree) for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(places):
            if start not in barred and start[0] in allowed:
                fault = Fault(name, occurrence, start[0])
                found[fault.kind, start].append(fault)
    chosen = itertools.chain.from_iterable(sorted(group, key=_draw)[:EACH] for group in found.values())
    return sorted(chosen, key=lambda fault: (fault.line, fault.operator, fault.occurrence))


def _draw(fault: Fault) -> bytes:
    return hashlib.sha256(f"{fault.operator} {fault.occurrence}".encode()).digest()


def _positions(source: str, functions: tuple[str, ...]) -> tuple[set[tuple[int, int]], set[int]]:
    """Line and column of all that stands in annotations, and the lines that may be changed."""
    barred: set[tuple[int, int]] = set()
    allowed: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.expr) and annotation.end_lineno and annotation.end_col_offset:
                barred |= {
                    (line, column)
                    for line in range(annotation.lineno, annotation.end_lineno + 1)
                    for column in range(annotation.col_offset, annotation.end_col_offset)
                }
        if isinstance(node, ast.FunctionDef) and node.name in functions and node.end_lineno:
            allowed |= set(range(node.lineno, node.end_lineno + 1))
    return barred, allowed if functions else set(range(1, source.count("\n") + 2))


class _Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a text instead of its file."""

    def __init__(self, target: Target, text: str) -> None:
        self._target = target
        self._text = text

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._target.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._target.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._text, self._target.path, "exec"), module.__dict__)


def survives(name: str, fault: Fault | None) -> bool:
    """Whether all tests of a target pass with a fault in place; this process must not have loaded the module before."""
    import pytest
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    target = TARGETS[name]
    if fault is not None:
        source = target.path.read_text(encoding="utf-8")
        text = mutate_code(source, get_operator(fault.operator)(), fault.occurrence)
        sys.meta_path.insert(0, _Planted(target, text))
    assert target.module not in sys.modules
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    return pytest.main([*arguments, *map(str, (ROOT / path for path in target.tests))]) == pytest.ExitCode.OK


def _tried(name: str, fault: Fault | None) -> bool:
    """`survives` in a process of its own, forked from this one, that is ended when it takes too long."""
    process = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(SURVIVES if survives(name, fault) else NOTICED)
    )
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
    if process.exitcode not in (SURVIVES, NOTICED, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        raise RuntimeError(f"{name} could not be tried with {fault}; status {process.exitcode}.")
    return process.exitcode == SURVIVES


def measure(name: str) -> dict[str, Any]:
    """Try all faults of a target, two at a time."""
    planted = faults(TARGETS[name])
    begun = time.monotonic()
    lived: list[Fault] = []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork"), _loaded) as pool:
        if not pool.submit(_tried, name, None).result():
            raise RuntimeError(f"The tests of {name} fail without any fault; mend them first.")
        trials = {pool.submit(_tried, name, fault): fault for fault in planted}
        for done, trial in enumerate(as_completed(trials), start=1):
            if trial.result():
                lived.append(trials[trial])
            print(f"\r{name}: {done} of {len(planted)}, {len(lived)} live", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    lines = TARGETS[name].path.read_text(encoding="utf-8").splitlines()
    alive = sorted(lived, key=lambda fault: (fault.line, fault.operator))
    return {
        "faults": len(planted),
        "seconds": round(time.monotonic() - begun),
        "alive": [
            {"line": fault.line, "operator": fault.operator.partition("/")[2], "code": lines[fault.line - 1].strip()}
            for fault in alive
        ],
    }


def _loaded() -> None:
    """Load what takes long."""
    for module in (
        "cosmic_ray.mutating", "sklearn.linear_model", "scipy.optimize",
        "leafgraft._openvino", "leafgraft._tensorflow",
    ):  # fmt: skip
        importlib.import_module(module)


def page(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The lines of docs/mutants.md."""
    yield "# Faults that the tests notice"
    yield ""
    yield INTRODUCTION
    yield ""
    yield "| code | tests | faults | noticed |"
    yield "|---|---|---|---|"
    for name, found in results.items():
        target = TARGETS[name]
        count, alive = found["faults"], len(found["alive"])
        tests = ", ".join(f"`{path}`" for path in target.tests)
        noticed = f"{count - alive}, {100 * (1 - alive / count):.0f} %"
        yield f"| {target.what}, `{target.module}` | {tests} | {count} | {noticed} |"
    yield ""
    yield "## Those that live"
    for name, found in results.items():
        if found["alive"]:
            yield f"\n`{TARGETS[name].path.relative_to(ROOT / 'src' / 'leafgraft')}`:\n"
            for fault in found["alive"]:
                yield f"- line {fault['line']}, {fault['operator']}: `{fault['code']}`"


def main() -> None:
    """Plant faults in the targets that are named, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    names = parser.parse_args().names
    if unknown := set(names) - TARGETS.keys():
        parser.error(f"there is no target {unknown.pop()!r}; choose {', '.join(TARGETS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names or TARGETS:
        (RESULTS / f"{name}.json").write_text(json.dumps(measure(name), indent=2), encoding="utf-8")
    kept = {name: RESULTS / f"{name}.json" for name in TARGETS}
    results = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in kept.items() if path.exists()}
    PAGE.write_text("\n".join(page(results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
