"""The two pages are whole in themselves, safe whatever a file is called, and show what they were given and no more."""

from __future__ import annotations

import dataclasses
import io
import re
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leafgraft.photos.garden import SPECIES
from leafgraft.report.page import Group, RunFacts, Section, SpeciesRow, Thumb, audit_page, run_report, thumbnail
from report_facts import facts

pytestmark = pytest.mark.quick

ORDER = [
    "result",
    "curves",
    "calibration",
    "confusion",
    "species",
    "mistakes",
    "strangers",
    "comparison",
    "audit",
    "record",
    "time",
]
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %}",
    "</style></title><b>",
    "Rosa & 'Prunus'",
    "蒲公英",
    "\u202eesor",
    "a name that is much longer than anything that has room beside a chart or in the column of a table",
]
VOID = {"meta", "link", "img", "wbr"}


class Read(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    def all(self, attribute: str, tag: str = "") -> list[str]:
        """The values of an attribute, in order."""
        return [str(found[attribute]) for name, found in self.tags if attribute in found and (not tag or name == tag)]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def full() -> RunFacts:
    return facts(list(SPECIES))


@pytest.fixture(scope="module")
def report(full: RunFacts) -> str:
    return run_report(full)


@pytest.fixture(scope="module")
def audit(full: RunFacts) -> str:
    return audit_page("hedgerow/", ["420 photos of 10 species.", "They were read in 3 s."], full.audit)


def test_every_section_is_there_in_order_and_in_the_contents(report: str) -> None:
    read = Read(report)
    assert [name for name in read.all("id") if name in ORDER] == ORDER
    assert read.all("href", "a") == [f"#{name}" for name in ORDER]


def test_ids_are_unique_and_links_lead_somewhere(report: str, audit: str) -> None:
    for page in (report, audit):
        read = Read(page)
        ids = read.all("id")
        assert len(ids) == len(set(ids))
        assert {target.removeprefix("#") for target in read.all("href", "a")} <= set(ids)


@pytest.mark.parametrize(
    ("section", "without"),
    [
        ("curves", {"history": []}),
        ("calibration", {"reliability": []}),
        ("confusion", {"matrix": None, "confused": []}),
        ("species", {"species": []}),
        ("mistakes", {"mistakes": []}),
        ("strangers", {"rejection": None}),
        ("comparison", {"comparison": None}),
        ("audit", {"audit": []}),
        ("record", {"record": {}}),
        ("time", {"seconds": {}}),
    ],
)
def test_a_section_without_content_leaves_no_trace(full: RunFacts, section: str, without: dict[str, Any]) -> None:
    read = Read(run_report(dataclasses.replace(full, **without)))
    left = [name for name in ORDER if name != section]
    assert [name for name in read.all("id") if name in ORDER] == left
    assert read.all("href", "a") == [f"#{name}" for name in left]


def test_a_sentence_alone_is_a_page() -> None:
    read = Read(run_report(RunFacts("run", "No photos were held out.")))
    assert read.all("id") == ["result"]
    assert "No photos were held out." in read.text
    assert not read.all("href", "a")
    empty = RunFacts("run", "-", history=[{"stage": "fine", "epoch": 1}], matrix=np.zeros((2, 2), np.int64))
    assert Read(run_report(empty)).all("id") == ["result"]


def test_nothing_comes_from_anywhere_else(report: str, audit: str) -> None:
    for page in (report, audit):
        read = Read(page)
        assert {tag for tag, _ in read.tags}.isdisjoint({"script", "iframe", "object", "embed", "base", "form"})
        assert all(source.startswith("data:image/jpeg;base64,") for source in read.all("src"))
        assert all(target.startswith(("#", "data:,")) for target in read.all("href"))
        assert not [name for _, found in read.tags for name in found if name.startswith(("on", "xlink"))]
        assert not re.search(r"http:|https:|url\(|@import", page)
        policies = [found["content"] for _, found in read.tags if "http-equiv" in found]
        assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_headings_go_down_one_by_one_and_pictures_have_words(report: str, audit: str) -> None:
    for page in (report, audit):
        read = Read(page)
        levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert ("html", {"lang": "en"}) in read.tags
        assert len(read.all("alt", "img")) == len(read.all("src", "img")) > 0
        assert all(read.all("alt", "img"))
        drawn = [found for tag, found in read.tags if tag == "svg"]
        assert all(found.get("aria-label") or found.get("aria-hidden") for found in drawn)


def test_what_the_facts_say_stands_on_the_page(full: RunFacts, report: str) -> None:
    text = Read(report).text.replace("\u00a0", " ")
    assert full.sentence in text
    assert "Two photos were left out." in text
    assert "Cross-validation 95.0 % ± 0.8 over 3 folds: 94.0, 96.0, 95.0" in text
    assert "Expected calibration error 2.0 %, temperature 0.71." in text
    assert "leafgraft train photos -o hedgerow" in text
    assert "3 min 21 s altogether; at most 2,816 MB of memory." in text
    assert "And 36 more in the JSON." in text
    assert re.search(r"Named fern with 85.0 %; is dahlia|Named \w+ with 99.0 %; is \w+", text)
    assert "2 more" in text  # mistakes that are folded away
    for gone in ("Status", "Views", "Classes"):
        assert gone not in text


def test_a_species_without_photos_has_dashes(full: RunFacts) -> None:
    row = SpeciesRow("yew", 3, 0, None, None, None, None)
    page = run_report(RunFacts("run", "-", species=[row]))
    cells = re.search(r"yew</th>(.*)</tr>", page, re.DOTALL)
    assert cells is not None
    assert re.sub(r"<[^>]*>", " ", cells[1]).split() == ["3", "0", "–", "–", "–", "–"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_only_ever_text(name: str, report: str) -> None:
    hostile = facts([f"{name} {at}" for at in range(10)])
    record = {**hostile.record, "command": name, name: name, "recipe": {name: name}}
    bad = run_report(dataclasses.replace(hostile, title=name, sentence=name, notes=[name], record=record))
    read = Read(bad)
    assert {tag for tag, _ in read.tags} <= {tag for tag, _ in Read(report).tags}
    assert not [key for _, found in read.tags for key in found if key.startswith("on")]
    assert name in "".join(read.words)
    assert "49" not in re.findall(r"<h1>(.*)</h1>", bad)[0]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_no_name_changes_what_a_page_consists_of(name: str) -> None:
    def tags(name: str) -> list[str]:
        thumb = Thumb(None, name, name or "-")
        section = Section("copies", name, name or "-", "look", name, [Group(name or "-", [thumb])])
        # A path may break after each slash.
        return [tag for tag, _ in Read(audit_page(name, [name], [section])).tags if tag != "wbr"]

    assert tags(name) == tags("rose")


def test_bytes_that_are_no_unicode_become_question_marks() -> None:
    name = "caf\udce9"
    page = run_report(dataclasses.replace(facts([name, "oak"]), title=name))
    assert b"caf?" in page.encode("utf-8")
    assert b"caf?" in audit_page(name, [name], []).encode("utf-8")


def test_an_audit_says_how_grave_in_words(audit: str) -> None:
    text = Read(audit).text
    assert "▲ To mend 1 of 3 tests" in text
    assert "● Worth a look 1 of 3 tests" in text
    assert "✓ Fine 1 of 3 tests" in text
    assert "no picture" in text
    assert "What to do: Keep one of each." in text
    assert "Sizes. Every photo is large enough." in text
    assert text.count("What to do:") == 1
    assert text.index("Light") < text.index("Nothing found")


def test_an_audit_that_found_nothing_is_a_list() -> None:
    quiet = [Section(f"test-{at}", f"Test {at}", "", "fine", "Nothing.") for at in range(3)]
    read = Read(audit_page("photos", [], quiet))
    assert [tag for tag, _ in read.tags if tag == "h2"] == ["h2"]
    assert read.all("id") == ["test-0", "test-1", "test-2"]
    assert Read(audit_page("photos", [], [])).all("id") == []


def test_a_hundred_species_make_a_page_of_moderate_size() -> None:
    many = facts([f"Rosa canina subsp. no. {at}" for at in range(100)], mistakes=0)
    page = run_report(many)
    assert len(page) < 300_000
    assert "Rosa canina subsp. no. 99" in page


def test_a_matrix_that_does_not_fit_its_names_is_refused(full: RunFacts) -> None:
    with pytest.raises(ValueError, match=r"\(9, 9\), not \(10, 10\)"):
        run_report(dataclasses.replace(full, classes=full.classes[1:]))


def test_the_same_facts_make_the_same_page(full: RunFacts, report: str) -> None:
    assert run_report(full) == report


def test_the_templates_belong_to_the_package() -> None:
    names = {entry.name for entry in (resources.files("leafgraft.report") / "templates").iterdir()}
    assert {"base.html.j2", "run.html.j2", "check.html.j2", "style.css"} <= names


@pytest.mark.parametrize(
    ("shape", "size"), [((400, 200), (80, 160)), ((90, 360), (160, 40)), ((20, 30), (30, 20)), ((3000, 1), (1, 160))]
)
def test_a_thumbnail_keeps_its_proportions(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(thumbnail(np.full((*shape, 3), 90, np.uint8))))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)


def test_what_is_no_picture_has_no_thumbnail() -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="A picture is uint8"):
            thumbnail(wrong)  # type: ignore[arg-type]
