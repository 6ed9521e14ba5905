"""What the documents say of the code must be so."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer

from leafgraft.cli.main import app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "leafgraft"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    """What a test of a page is called."""
    return page.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def commands(group: Any, name: str = "leafgraft") -> Iterator[tuple[str, set[str]]]:
    """Every command of the program, a group of commands included, with its options."""
    options = {option for parameter in group.params for option in (*parameter.opts, *parameter.secondary_opts)}
    yield name, options | {"-h", "--help"}
    for word in group.list_commands(None) if hasattr(group, "list_commands") else ():
        yield from commands(group.get_command(None, word), f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def named_command(text: str) -> str:
    """The longest command that a line calls; its first word after ``leafgraft`` must be one."""
    words = text.split()
    name = " ".join(words[: 1 if words[1].startswith("-") else 2])
    assert name in COMMANDS, f"there is no command {name!r}"
    longer = " ".join(words[:3])
    return longer if longer in COMMANDS else name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8")))
    for target in targets:
        if not target.startswith(("http://", "https://", "mailto:", "#")):
            assert (page.parent / target.partition("#")[0]).is_file(), f"{page.name} links to {target}"


def called(text: str) -> list[str]:
    """The commands of leafgraft that a page shows, in blocks and in the text, without comments."""
    lines = "\n".join(blocks(text, "bash")).replace("\\\n", " ").splitlines()
    in_blocks = [re.search(r"(?:^|= |\| |\w=\S+ )(leafgraft .*)", line.partition(" #")[0]) for line in lines]
    return [found[1] for found in in_blocks if found] + re.findall(r"`(leafgraft [^`]+)`", prose(text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist_and_take_the_options_shown(page: Path) -> None:
    for call in called(page.read_text(encoding="utf-8")):
        options = COMMANDS[named_command(call)]
        words = call.partition(" > ")[0].split()
        unknown = {word.partition("=")[0] for word in words if re.match(r"--?\w", word)} - options
        assert not unknown, f"{call!r} has no option {unknown}"


def test_the_readme_shows_commands() -> None:
    assert len(called(README)) >= 5


@pytest.mark.parametrize("page", [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], ids=name_of)
def test_every_option_that_a_page_mentions_exists(page: Path) -> None:
    known = set().union(*COMMANDS.values())
    mentioned = set(re.findall(r"(?<=`)--[a-z][a-z0-9-]*", prose(page.read_text(encoding="utf-8"))))
    assert mentioned <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_compiles_and_imports_what_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        compile(block, page.name, "exec")
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert {alias.name for alias in node.names} <= {*dir(module), *getattr(module, "__all__", ())}


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) < 200


ROOMS = [
    (name, number)
    for number, line in enumerate(ARCHITECTURE.splitlines())
    if line.startswith("| `")
    for name in re.findall(r"`([\w/]+\.py)`", line.split("|")[1])
]


def test_the_table_of_rooms_lists_every_module_once_and_no_other() -> None:
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    assert sorted(name for name, _ in ROOMS) == sorted(modules)


def test_the_picture_of_the_flow_is_well_formed() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "architecture.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"


def imported(path: Path) -> set[str]:
    """Names of all that a file imports when it is loaded."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imports_go_upwards_in_the_table_of_rooms() -> None:
    rows = dict(ROOMS)
    for name, row in ROOMS:
        for target in imported(PACKAGE / name):
            parts = target.split(".")
            for length in range(len(parts), 1, -1):
                module = "/".join(parts[1:length]) + ".py"
                if parts[0] == "leafgraft" and module in rows:
                    assert rows[module] <= row, f"{name} imports {module}, which stands below it"
                    break


def test_openvino_does_not_report_to_its_maker() -> None:
    code = (
        "from leafgraft._openvino import ov; import openvino.tools.ovc.convert_impl as ovc;"
        "from nncf.telemetry.wrapper import telemetry; from unittest.mock import MagicMock;"
        "print(ovc.tm.__name__, isinstance(telemetry, MagicMock))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "True"]


def test_help_and_answers_load_nothing_heavy() -> None:
    heavy = [
        "cleanlab", "datasets", "fastapi", "keras", "matplotlib", "mlflow", "onnx", "openvino", "optuna", "pandas",
        "ray", "scipy", "sklearn", "tensorflow",
    ]  # fmt: skip
    code = f"""
import sys
from leafgraft.cli import main
sys.argv = ["leafgraft", "--help"]
try:
    main()
except SystemExit as leaving:
    assert leaving.code == 0
assert not set({heavy}) & set(sys.modules), set({heavy}) & set(sys.modules)
import leafgraft.bundle, leafgraft.naming, leafgraft.serve.app
assert not {{"keras", "ray", "tensorflow"}} & set(sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "leafgraft train PHOTOS" in answer.stdout
