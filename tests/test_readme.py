"""Both READMEs: the same commands in two languages, and all of them do what is printed beside them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from conftest import Said

ROOT = Path(__file__).parent.parent
ENGLISH, RUSSIAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ru.md"))


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def calls() -> Iterator[tuple[list[str], str]]:
    """What is typed after ``leafgraft``, and the line that is said to come of it."""
    lines = "".join(blocks(ENGLISH, "bash")).splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("leafgraft "):
            yield shlex.split(line, comments=True)[1:], below.removeprefix("# ")


def shape(text: str) -> str:
    """A line with its figures left out: they differ from machine to machine."""
    return re.sub(r"\d+(\.\d+)?", "N", text)


@pytest.mark.quick
def test_both_languages_have_the_same_commands_and_as_many_sections() -> None:
    def typed(text: str) -> list[str]:
        return [re.sub(r" +# .*", "", block) for language in ("bash", "python") for block in blocks(text, language)]

    assert typed(ENGLISH) == typed(RUSSIAN)
    assert ENGLISH.count("\n## ") == RUSSIAN.count("\n## ")
    assert max(len(text.splitlines()) for text in (ENGLISH, RUSSIAN)) < 200


@pytest.mark.quick
def test_both_languages_give_the_same_figures() -> None:
    def figures(text: str) -> list[str]:
        table = "".join(re.findall(r"^\|.*(?:<-|Flowers-102).*$", text, re.MULTILINE))
        return re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3}\b)", "", table).replace(",", "."))

    english = figures(ENGLISH)
    assert len(english) > 40
    assert figures(RUSSIAN) == english


@pytest.mark.quick
def test_the_scripts_that_are_named_exist() -> None:
    scripts = re.findall(r"bash (script/\w+)", ENGLISH)
    assert {"script/demo", "script/test"} <= set(scripts)
    assert all((ROOT / name).is_file() for name in scripts)


@pytest.mark.slow
def test_every_command_and_snippet_does_what_is_printed_beside_it(
    leafgraft: Callable[..., Said], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen = 0
    for words, expected in calls():
        said = leafgraft(*words)
        assert said.status == 0, said
        assert shape(expected) in shape(said.out + said.err).splitlines(), said
        seen += 1
    assert seen == 7
    for block in blocks(ENGLISH, "python"):
        if block.startswith("from "):
            printed = StringIO()
            with redirect_stdout(printed):
                exec(compile(block, "README.md", "exec"), {})
            assert shape(printed.getvalue()).splitlines() == [shape(x) for x in re.findall(r"\)  # (.*)", block)]
        else:  # the walk of the contract, with an epoch of each stage and few layers
            short = re.sub(r"epochs=\d+", "epochs=1", block).replace("num_layers_unfreeze=50", "num_layers_unfreeze=2")
            exec(compile(f"from leafgraft import PlantClassifierTransferLearning\n{short}", "README.md", "exec"), {})
