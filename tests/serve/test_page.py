"""What can be said of the page without a browser: it is whole, safe, and has each text in both languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import leafgraft

pytestmark = pytest.mark.quick

PAGE = Path(leafgraft.__file__).parent / "serve" / "page"
FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(PAGE.iterdir())}
SCRIPTS = {name: text for name, text in FILES.items() if name.endswith(".js")}
PLACE = re.compile(r"\{(\w+)\}")
CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")


def words() -> dict[str, dict[str, str]]:
    """The texts by language and key."""
    blocks = re.findall(r"^  (\w\w): \{\n(.*?)^  \},$", FILES["words.js"], re.MULTILINE | re.DOTALL)
    found = {}
    for language, block in blocks:
        lines = [re.fullmatch(r'    (\w+): "(.+)",', line) for line in block.splitlines()]
        assert all(lines), f"a line of {language} is no text"
        found[language] = {line[1]: line[2] for line in lines if line}
    return found


WORDS = words()


class Tags(HTMLParser):
    """The tags of the page, and the text within scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code = ""
        self.feed(FILES["index.html"])
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.code += data.strip()

    def all(self, attribute: str) -> list[str]:
        return [str(found[attribute]) for _, found in self.tags if attribute in found]


TAGS = Tags()


def test_each_text_is_there_in_both_languages() -> None:
    assert set(WORDS) == {"en", "ru"}
    english, russian = WORDS["en"], WORDS["ru"]
    assert len(english) > 40
    assert english.keys() == russian.keys()
    for key, text in english.items():
        assert set(PLACE.findall(text)) == set(PLACE.findall(russian[key])), key
        assert re.search("[а-яё]", russian[key]), key
        assert not re.search("[а-яё]", text, re.IGNORECASE), key
        assert all(choice.count("|") == 1 for choice in CHOICE.findall(text)), key
        assert all(choice.count("|") == 2 for choice in CHOICE.findall(russian[key])), key


def test_the_texts_that_are_asked_for_are_those_that_there_are() -> None:
    asked = {*TAGS.all("data-text"), *TAGS.all("data-label")}
    code = "".join(text for name, text in SCRIPTS.items() if name != "words.js")
    for call in re.findall(r"\bsay\(([^,)]*)", code):
        asked |= set(re.findall(r'"(\w+)"', call))
    assert asked == set(WORDS["en"])


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_anywhere_else(name: str) -> None:
    assert not re.search(r"https?:|\burl\(|@import|['\"(]//", FILES[name])


def test_what_the_page_loads_lies_beside_it() -> None:
    targets = [*TAGS.all("src"), *TAGS.all("href")]
    assert sorted(targets) == ["data:,", "static/page.css", "static/page.js"]
    assert {target.removeprefix("static/") for target in targets} - {"data:,"} <= set(FILES)
    for text in SCRIPTS.values():
        imports = re.findall(r'^import .* from "(.*)";$', text, re.MULTILINE)
        assert text.count("\nimport ") + text.startswith("import ") == len(imports)
        assert {name.removeprefix("./") for name in imports} <= set(SCRIPTS)


def test_scripts_and_styles_stand_in_files_of_their_own() -> None:
    assert TAGS.code == ""
    attributes = {name for _, found in TAGS.tags for name in found}
    assert "style" not in attributes
    assert not [name for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_becomes_markup_or_code(name: str) -> None:
    dangerous = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|cssText|setAttribute"
    )
    assert not re.search(dangerous, SCRIPTS[name])


def test_what_the_scripts_reach_for_is_there_once() -> None:
    ids = TAGS.all("id")
    assert len(ids) == len(set(ids))
    for name, text in SCRIPTS.items():
        assert set(re.findall(r'\$\("([\w-]+)"\)', text)) <= set(ids), name
    for attribute in ("for", "list", "aria-labelledby", "aria-describedby"):
        assert set(TAGS.all(attribute)) <= set(ids), attribute


def test_each_field_has_a_label_and_each_button_a_kind() -> None:
    labelled = set(TAGS.all("for"))
    for tag, found in TAGS.tags:
        if tag == "input" and "hidden" not in found:
            assert found["id"] in labelled
        if tag == "button":
            assert found["type"] in ("button", "submit")


@pytest.mark.parametrize("name", FILES)
def test_files_stay_short(name: str) -> None:
    assert len(FILES[name].splitlines()) < 400
    assert FILES[name].endswith("\n")
