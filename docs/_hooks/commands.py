"""Writes the reference of the command line into reference/commands.md, from the program itself."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.structure.pages import Page

from leafgraft.cli.main import app

MARK = "<!-- every command -->"


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Put every command in the place of the mark."""
    return (
        markdown.replace(MARK, "\n".join(all_of(typer.main.get_command(app), "leafgraft")))
        if MARK in markdown
        else markdown
    )


def all_of(group: Any, name: str) -> Iterator[str]:
    """Every command below a group, each with what it takes."""
    for word in group.list_commands(None):
        command, full = group.get_command(None, word), f"{name} {word}"
        yield from one(command, full)
        if hasattr(command, "list_commands"):
            yield from all_of(command, full)


def one(command: Any, name: str) -> Iterator[str]:
    """One command: its help, its arguments and its options."""
    yield f"\n{'#' * (name.count(' ') + 1)} {name}\n"
    yield text(command.help)
    context = typer.Context(command, info_name=name)
    for title in ("Argument", "Option"):
        rows = [table_row(one, context) for one in command.params if one.param_type_name == title.lower()]
        if rows:
            yield f"\n| {title} | |\n|---|---|"
            yield from rows


def text(help: str) -> str:
    """The help as Markdown: lines that are indented in it are commands."""
    quoted = html.escape(help, quote=False).replace("*", "\\*")
    return re.sub(r"For example:\n\n((?:  .*\n*)+)", lambda found: example(html.unescape(found[1])), quoted + "\n")


def example(lines: str) -> str:
    """Commands that stand in a help as a block."""
    return "\n```bash\n" + "\n".join(line.strip() for line in lines.splitlines() if line.strip()) + "\n```\n"


def table_row(parameter: Any, context: Any) -> str:
    """A row of a table: how it is written, and what it means."""
    written, meaning = parameter.get_help_record(context)
    meaning = html.escape(meaning, quote=False).replace("|", "\\|").replace("*", "\\*")
    return f"| `{written}` | {meaning} |"
