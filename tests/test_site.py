"""The site: built strictly, in both languages where that is promised, with nothing from other hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer

import leafgraft
from leafgraft.cli.main import app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TRANSLATED = sorted(
    page
    for page in [DOCS / "index.md", DOCS / "tutorial.md", *DOCS.glob("how-to/*.md"), *DOCS.glob("explanation/*.md")]
    if not page.name.endswith(".ru.md")
)
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def name_of(page: Path) -> str:
    """What a test of a page is called."""
    return page.relative_to(DOCS).as_posix()


def twin(page: Path) -> Path:
    """The same page or notebook in Russian."""
    return page.with_suffix(f".ru{page.suffix}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built as ``script/site`` does."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


class _Loads(HTMLParser):
    """Collects what a browser would load with a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        loads = tag != "a" and not (tag == "link" and given.get("rel") in ("canonical", "alternate", "next", "prev"))
        if loads:
            self.found += [given[name] for name in ("src", "href", "data", "poster") if name in given]
            self.found += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style", ""))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 2 * len(TRANSLATED)
    for page in pages:
        parser = _Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.found
        for address in parser.found:
            place = urlsplit(address)
            assert place.scheme == "data" or not (place.scheme or place.netloc), f"{page} loads {address}"


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        text = re.sub(r"/\*.*?\*/", "", style.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", text), style


def test_links_to_code_lead_to_a_page_of_it(site: Path) -> None:
    text = (site / "repository/src/leafgraft/network.py/index.html").read_text(encoding="utf-8")
    assert "unfreeze_last" in re.sub(r"<[^>]+>", "", text)
    assert "../../repository/src/leafgraft/network.py/" in (site / "explanation/cut/index.html").read_text("utf-8")


def test_the_reference_has_every_public_name(site: Path) -> None:
    text = (site / "reference/python/index.html").read_text(encoding="utf-8")
    for name in leafgraft.__all__:
        assert f'id="leafgraft.{name}"' in text
    for method in vars(leafgraft.PlantClassifierTransferLearning):
        shown = f'id="leafgraft.PlantClassifierTransferLearning.{method}"' in text
        assert shown or method.startswith("_") or method in ("drafted", "judge", "take_features"), method


def test_the_reference_has_every_command_with_its_options(site: Path) -> None:
    group = typer.main.get_command(app)
    text = (site / "reference/commands/index.html").read_text(encoding="utf-8")
    for name in group.list_commands(None):  # type: ignore[attr-defined]
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        within = command.list_commands(None) if hasattr(command, "list_commands") else ()
        assert all(f'id="leafgraft-{words}"' in text for words in (name, *(f"{name}-{word}" for word in within)))
        part = text.partition(f'id="leafgraft-{name}"')[2].partition("<h2")[0]
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert not {option for option in options if option not in part} - {"--help"}, name


def test_the_search_knows_both_languages(site: Path) -> None:
    found = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    assert {"en", "ru"} <= set(found["config"]["lang"])
    places = {entry["location"].partition("#")[0] for entry in found["docs"]}
    assert {"tutorial/", "ru/tutorial/"} <= places
    assert not [place for place in places if "repository/src/" in place]


@pytest.mark.parametrize("page", TRANSLATED, ids=name_of)
def test_the_russian_twin_shows_the_same_commands_and_links(page: Path) -> None:
    ours, theirs = page.read_text(encoding="utf-8"), twin(page).read_text(encoding="utf-8")
    assert re.search("[а-яё]", theirs)

    def shown(text: str) -> list[tuple[str, str]]:
        return [(found["language"], re.sub(r" +# .*", "", found["text"])) for found in BLOCK.finditer(text)]

    def linked(text: str) -> list[str]:
        return sorted(found["path"] for found in LINK.finditer(text))

    assert shown(ours) == shown(theirs)
    assert len(re.findall(r"^#+ ", ours, re.MULTILINE)) == len(re.findall(r"^#+ ", theirs, re.MULTILINE))
    twins = [(path, twin(Path(path))) for path in linked(ours)]
    assert linked(theirs) == sorted(str(other) if (page.parent / other).exists() else path for path, other in twins)


def test_no_russian_page_is_without_its_english_one() -> None:
    for page in DOCS.rglob("*.ru.md"):
        assert page.with_name(page.name.replace(".ru.md", ".md")) in TRANSLATED
