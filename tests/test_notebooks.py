"""The lessons in notebooks/: as they are stored, and run from top to bottom."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebook_run import executed

FOLDER = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
FOLDED = re.compile(r"<details><summary>\w+</summary>\n(.*?)\n</details>", re.DOTALL)

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)


@each
@pytest.mark.quick
def test_each_lesson_is_stored_as_it_ran_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")
    pictures = [kind for output in outputs if "data" in output for kind in output.data if kind.startswith("image/")]
    assert len(pictures) >= 12


@each
@pytest.mark.quick
def test_each_lesson_can_be_read_where_it_is_published(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_500_000  # GitHub shows larger ones late or not at all
    assert not re.search(r"/(root|home|tmp|work|Users)/", text)
    notebook = nbformat.read(path, as_version=4)
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((\.\./[^)#]+)", prose)
    assert links
    assert [link for link in links if not (FOLDER / link).exists()] == []
    exercises = re.split(r"^\d\. \*\*", prose, flags=re.MULTILINE)[1:]
    assert len(exercises) == 4
    assert [len(FOLDED.findall(exercise)) for exercise in exercises] == [1, 1, 1, 1]


@pytest.mark.quick
def test_both_languages_run_the_same_code() -> None:
    first, *others = [nbformat.read(path, as_version=4) for path in PATHS]
    assert len(others) == 1
    for other in others:
        assert [cell.cell_type for cell in other.cells] == [cell.cell_type for cell in first.cells]
        for one, cell in zip(first.cells, other.cells, strict=True):
            if cell.cell_type == "code":
                assert _silent(cell.source) == _silent(one.source)
        assert [_silent(text) for text in _solutions(other)] == [_silent(text) for text in _solutions(first)]


@pytest.mark.slow
@each
def test_each_lesson_runs_from_top_to_bottom_and_so_do_its_solutions(path: Path, weights: Path) -> None:
    solutions = _solutions(nbformat.read(path, as_version=4))
    assert len(solutions) == 3
    notebook = executed(path, beyond=solutions)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = ["".join(output.text for output in cell.outputs if output.output_type == "stream") for cell in code]
    simple, other, sure = printed[-3:]
    assert float(simple) > 0.6
    assert "of which 4.46 M learn now" in other
    assert all(0 < int(share) <= 100 for share in re.findall(r"(\d+)%", sure))


def _silent(source: str) -> str:
    """Code without comments and without what its texts say."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        elif isinstance(node, ast.JoinedStr):  # another language may have another order of words
            node.values = sorted((part for part in node.values if isinstance(part, ast.FormattedValue)), key=ast.dump)
    return ast.unparse(tree)


def _solutions(notebook: Any) -> list[str]:
    """The code of the solutions."""
    folded = "\n".join(text for cell in notebook.cells for text in FOLDED.findall(cell.source))
    return re.findall(r"^```python\n(.*?)^```$", folded, re.MULTILINE | re.DOTALL)
