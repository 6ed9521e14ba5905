"""The ``leafgraft`` command: puts the commands together and turns what goes wrong into a sentence and a status."""

from __future__ import annotations

import errno
import importlib
import io
import sys
import traceback
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
import typer.core
import typer.main

from leafgraft.cli.screen import say
from leafgraft.errors import OrderError, UserError
from leafgraft.photos import UnreadablePhoto

COMMANDS = (
    "demo", "check", "train", "evaluate", "predict", "explain", "serve", "export", "compare", "features", "garden",
    "verify", "doctor", "weights", "bank", "corrections",
)  # fmt: skip
"""Each is a module of the same name, with a function of that name or, for a group of commands, an ``app``."""


class _Lazy(typer.core.TyperGroup):
    """Loads a command when it is called: all of them together take longer than naming a plant."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"leafgraft.cli.{cmd_name}")
        group = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(**_SETTINGS, add_completion=False)
            group.command(cmd_name)(getattr(module, cmd_name))
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


_SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
}

app = typer.Typer(
    name="leafgraft",
    cls=_Lazy,
    help=(
        "Graft a plant classifier onto an ImageNet ResNet50: a folder of photographs in, a classifier out.\n\n"
        "For example:\n\n"
        "  leafgraft demo                     see it all on plants that it draws\n\n"
        "  leafgraft check PHOTOS             find what is wrong with the photos\n\n"
        "  leafgraft train PHOTOS -o RUN      learn from a folder per species\n\n"
        "  leafgraft predict RUN photo.jpg    name the plant on a photo\n\n"
        "  leafgraft explain RUN photo.jpg    show why\n\n"
        "  leafgraft evaluate RUN PHOTOS      measure it on other photos\n\n"
        "  leafgraft serve RUN                answer on a page and over HTTP\n\n"
        "  leafgraft export RUN -o FILE ...   take it elsewhere, also to a phone\n\n"
        "Status: 0 done, 2 something you can mend, 1 a failure of ours (--debug shows where)."
    ),
    no_args_is_help=True,
    add_completion=True,
    **_SETTINGS,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"leafgraft {metadata.version('leafgraft')}")
        raise typer.Exit


@app.callback()
def common(  # noqa: D103 - a docstring would take the place of the help above
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> NoReturn:
    """Run the command line and leave with status 0, 2 (something that the user can mend) or 1 (a failure of ours)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal has no letters for is no failure
    try:
        app(standalone_mode=True)
    except (UserError, OrderError, UnreadablePhoto) as error:
        _leave(str(error), 2, error)
    except OSError as error:
        if error.errno in _FULL:
            _leave(
                f"No space is left on the disk for {error.filename or 'what has to be written'}: free some.", 2, error
            )
        if error.filename is not None or error.errno == errno.EIO:  # it is gone or forbidden, or the disk fails
            _leave(f"{error.filename or 'A file'} may not be read or written ({error.strerror}).", 2, error)
        _leave(f"{type(error).__name__}: {error}", 1, error)
    except Exception as error:
        _leave(f"{type(error).__name__}: {error}", 1, error)
    sys.exit(0)


def _leave(text: str, status: int, error: Exception) -> NoReturn:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    say(f"leafgraft: {text}" + ("" if status == 2 else " (a failure of ours; --debug shows where)"))
    sys.exit(status)
