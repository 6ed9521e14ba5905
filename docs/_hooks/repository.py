"""Brings files outside docs/ into the site when pages link to them: documents as they are, code as a page of code.

So a link that works in the repository, such as ../src/leafgraft/network.py, works on the site too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
IN_NAV = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"(?ms)^```.*?^```$|(?<=\]\()([^)\s#]+)")
"""A block of code, which has no links, or the target of one."""
LANGUAGES = {".py": "python", ".sh": "bash", ".service": "ini", ".toml": "toml", ".svg": "xml"}


@event_priority(-200)  # after i18n, which knows the files of docs/ only
def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what pages link to, and what that links to."""
    waiting = [*IN_NAV]
    for file in files.documentation_pages():
        waiting += linked(f"docs/{file.src_uri}", file.content_string)
    done: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path.startswith("docs/") or path in done or not (ROOT / path).is_file():
            continue
        done.add(path)
        text = (ROOT / path).read_text(encoding="utf-8")
        if path.endswith(".md"):
            waiting += linked(path, text)
        else:
            text = as_page(path, text)
        files.append(placed(path, text, config))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let links out of docs/, and those of documents outside, lead to where things lie on the site."""
    home = page.file.src_uri
    inside = not home.startswith("repository/")
    path = f"docs/{home}" if inside else home.removeprefix("repository/")
    if not inside and not (ROOT / path).is_file():
        return markdown  # a page of code

    def rewritten(found: re.Match[str]) -> str:
        target = found[1] and resolved(path, found[1])
        if not target or (inside and target.startswith("docs/")):
            return found[0]
        return posixpath.relpath(uri(target), posixpath.dirname(home) or ".")

    return LINK.sub(rewritten, markdown)


def linked(path: str, text: str) -> Iterator[str]:
    """What a document links to, from the root of the repository."""
    for found in LINK.finditer(text):
        if found[1] and (target := resolved(path, found[1])):
            yield target


def resolved(path: str, target: str) -> str:
    """The target of a link in a document, from the root of the repository; "" for one that leads elsewhere."""
    return "" if ":" in target else posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def uri(path: str) -> str:
    """Where a file of the repository lies on the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"


def as_page(path: str, code: str) -> str:
    """Code as a page that the search leaves out."""
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"---\nsearch: {{exclude: true}}\n---\n# {path}\n\n````{language}\n{code}````\n"


def placed(path: str, text: str, config: MkDocsConfig) -> File:
    """A file of the site, in the language that is being built."""
    i18n: Any = config.plugins["i18n"]

    def of(language: str) -> Any:
        file = File.generated(config, uri(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV)
        if language != i18n.default_language:
            file.dest_uri = f"{language}/{file.dest_uri}"
        return file

    file = of(i18n.current_language)
    file.locale, file.locale_alternate_of = i18n.default_language, i18n.current_language
    file.alternates = {language: of(language) for language in i18n.all_languages}
    return file  # type: ignore[no-any-return]
