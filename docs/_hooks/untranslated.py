"""Says on the Russian side of a page that it is there in English only."""

from __future__ import annotations

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

NOTICE = {"ru": "Эта страница есть только на английском."}


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Put the notice below the title."""
    language = getattr(config.plugins["i18n"], "current_language", "")
    if language not in NOTICE or getattr(page.file, "locale", language) == language:
        return html
    return html.replace("</h1>", f"</h1>\n<p><em>{NOTICE[language]}</em></p>", 1)
