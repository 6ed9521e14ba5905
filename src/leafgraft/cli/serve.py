"""``leafgraft serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leafgraft.cli.evaluate import Model
from leafgraft.cli.screen import Debug
from leafgraft.errors import UserError


def serve(
    model: Model,
    host: Annotated[str, typer.Option("--host", help="The address that is listened at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="The port; 0 takes a free one.", min=0, max=65535)] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="LEAFGRAFT_TOKEN",
            show_envvar=True,
            help="What callers have to name (Authorization: Bearer TOKEN).",
        ),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Answer to other machines without a token.")] = False,
    corrections: Annotated[
        Path | None,
        typer.Option("--corrections", help="A file that keeps photos with what people say they show; else none are."),
    ] = None,
    max_mb: Annotated[int, typer.Option("--max-mb", help="Megabytes of a photo, at most.", min=1, max=500)] = 20,
    max_files: Annotated[int, typer.Option("--max-files", help="Photos of a request, at most.", min=1)] = 64,
    queue: Annotated[int, typer.Option("--queue", help="Photos that are taken on at a time.", min=1)] = 256,
    engine: Annotated[
        str, typer.Option("--engine", help='"fp32" as measured; "auto" or "bf16" about twice as fast where possible.')
    ] = "fp32",
    debug: Debug = False,
) -> None:
    """Answer over HTTP, with a page to drop photos on.

    Photos stay in memory and are forgotten once they are answered to, unless --corrections names a file. Ctrl+C, or the
    signal TERM, ends the service after it has finished what it has begun.

    For example:

      leafgraft serve run

      leafgraft serve run --corrections corrections.db

      LEAFGRAFT_TOKEN=secret leafgraft serve run --host 0.0.0.0
    """  # fmt: skip
    try:
        from leafgraft.serve.app import create_app
        from leafgraft.serve.run import bound, is_loopback, run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("leafgraft"):
            raise
        raise UserError(f"{error.name} is not installed; run: pip install 'leafgraft[serve]'.") from None
    from leafgraft.bundle import Bundle
    from leafgraft.serve.asking import MANY
    from leafgraft.serve.reading import Limits
    from leafgraft.serve.service import Settings

    if token is not None and not (token.strip() and token.isascii() and token.isprintable()):
        raise UserError("The token has to be of letters, digits and signs of ASCII; choose another.")
    if not is_loopback(host) and token is None and not insecure:
        raise UserError(
            f"At {host} other machines can ask, so a token is needed; set LEAFGRAFT_TOKEN, or allow all by --insecure."
        )
    with bound(host, port) as listening:
        settings = Settings(Limits(max_mb, max_files), queue, token.strip() if token else None, corrections)
        app = create_app(Bundle(model, engine=engine), settings, Bundle(model, batch=MANY, engine=engine))
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}"
        run(app, listening, lambda: print(f"Leafgraft answers at {address} (Ctrl+C ends it)", flush=True))
