"""The paths of the service: a FastAPI application around one classifier."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from leafgraft.bundle import Bundle
from leafgraft.serve import reading, shapes
from leafgraft.serve.gate import Gate, refusal
from leafgraft.serve.refusal import Refused
from leafgraft.serve.service import Service, Settings
from leafgraft.serve.shapes import problems

PAGE = Path(__file__).parent / "page"

TOP = 100
"""Species that are named, at most."""


def create_app(bundle: Bundle, settings: Settings | None = None, many: Bundle | None = None) -> FastAPI:
    """Make the service of a classifier.

    Args:
        bundle: the classifier, opened with ``batch=1``, so that all cores work on a photo that comes alone.
        settings: how to run it; by default for the machine itself, without a token and without corrections.
        many: the same classifier opened with a larger batch, for photos that come together.

    Returns:
        An ASGI application; ``app.state.service`` is its `Service`.

    Raises:
        UserError: the settings contradict each other, or corrections cannot be kept.
    """
    service = Service(bundle, settings or Settings(), many)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.close()

    app = FastAPI(
        title="Leafgraft", description="Names the plants on photographs.", version=service.model()["version"],
        lifespan=lifespan, docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.service = service
    app.add_middleware(Gate, service=service)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    _answers(app, service)
    _state(app, service)
    _pages(app)
    return app


def _answers(app: FastAPI, service: Service) -> None:
    limits = service.settings.limits

    @app.post(
        "/v1/predict",
        response_model=shapes.Predicted,
        responses=problems(400, 401, 403, 408, 413, 415, 422, 503),
        openapi_extra=shapes.PHOTOS,
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=TOP, description="How many species to name.")] = 5,
        heat: Annotated[bool, Query(description="Whether to say where in the photo the evidence lies.")] = False,
        similar: Annotated[bool, Query(description="Whether to name photos that are alike.")] = False,
    ) -> Response:
        """Name the plants on one or many photos."""
        with service.room.share() as hold:
            uploads = await reading.photos(request, limits, hold, service.decoders.run)
            return JSONResponse(await service.predict(uploads, top=top, heat=heat, similar=similar))

    @app.get("/v1/model", response_model=shapes.Model, responses=problems(401, 503))
    async def model() -> Response:
        """What there is to know of the classifier."""
        return JSONResponse(await service.decoders.run(service.model))

    @app.get(
        "/v1/similar/{position}.jpg",
        response_class=Response,
        responses=_of("image/jpeg") | problems(401, 404, 422, 503),
    )
    async def similar(position: int) -> Response:
        """A photo that was learned from, small."""
        return Response(await service.thumbnail(position), media_type="image/jpeg")

    @app.post(
        "/v1/corrections",
        status_code=201,
        response_model=shapes.Stored,
        responses=problems(400, 401, 403, 404, 408, 413, 415, 422, 503),
        openapi_extra=shapes.CORRECTION,
    )
    async def correct(request: Request) -> Response:
        """Keep what a photo really shows, if the service was started so."""
        with service.room.share() as hold:
            upload, species = await reading.correction(request, limits, hold)
            return JSONResponse({"id": await service.correct(upload, species)}, 201)


def _state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_model=shapes.State)
    async def healthz() -> Response:
        """Whether the process lives."""
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", response_model=shapes.State, responses=problems(503))
    async def readyz() -> Response:
        """Whether a photo would be answered to."""
        if service.ready:
            return JSONResponse({"status": "ready"})
        return refusal(Refused(503, "The service is starting or being stopped.", {"Retry-After": "5"}))

    @app.get("/metrics", response_class=Response, responses=_of("text/plain") | problems(401))
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _pages(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """The paths; FastAPI's own page would load its scripts from elsewhere."""
        return HTMLResponse(_description(app.openapi()))

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        """The page for people."""
        if not (PAGE / "index.html").is_file():
            raise Refused(404, "This installation has no page; see /docs.")
        return FileResponse(PAGE / "index.html")

    if PAGE.is_dir():
        app.mount("/static", StaticFiles(directory=PAGE), name="static")


def _of(kind: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {}}}}


def _description(openapi: dict[str, Any]) -> str:
    rows = [
        f"<li><code>{method.upper()} {html.escape(path)}</code> {html.escape(about.get('description', ''))}</li>"
        for path, methods in openapi["paths"].items()
        for method, about in methods.items()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Leafgraft: paths</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<h1>Leafgraft {html.escape(openapi['info']['version'])}</h1><ul>{''.join(rows)}</ul>"
        '<p>The whole description: <a href="/openapi.json">openapi.json</a></p></html>'
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"There is nothing at {request.url.path}." if error.status_code == 404 else f"{error.detail}."
    return refusal(Refused(error.status_code, detail, error.headers))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return refusal(Refused(422, f"{first['loc'][-1]}: {first['msg']}."))
