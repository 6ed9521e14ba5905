"""The shapes of what comes and goes, for the description of the service at /openapi.json."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Every answer that is none."""

    detail: str = Field(description="One sentence.")


class Prediction(BaseModel):
    """A species and how likely it is."""

    species: str
    probability: float = Field(ge=0, le=1)


class Similar(BaseModel):
    """A photo that was learned from."""

    species: str
    photo: str | None = Field(description="Where a thumbnail is; null if the photo is gone.")


class Named(BaseModel):
    """What is said of a photo."""

    name: str
    unknown: bool = Field(description="Whether it is unlike all that was learned.")
    strangeness: float | None = Field(description="About 0 for known species; null if the model cannot tell.")
    predictions: list[Prediction] = Field(description="Likeliest first.")
    heat: list[list[float]] | None = Field(
        default=None, description="With heat=true: where the evidence for the likeliest species lies, 7 x 7, 0-1."
    )
    similar: list[Similar] | None = Field(default=None, description="With similar=true: most alike first.")


class Unreadable(BaseModel):
    """A file among others that is no photo."""

    name: str
    problem: str


class Predicted(BaseModel):
    """Answers in the order of the photos."""

    photos: list[Named | Unreadable]


class Bounds(BaseModel):
    """What a request may bring."""

    max_mb: int
    max_files: int
    max_request_mb: int
    megapixels: int


class Model(BaseModel):
    """The classifier."""

    name: str
    species: list[str]
    card: str = Field(description="Markdown.")
    figures: dict[str, Any]
    knows_strangers: bool
    corrections: bool
    limits: Bounds
    version: str


class Stored(BaseModel):
    """A correction that was kept."""

    id: int


class State(BaseModel):
    """How the service is."""

    status: str


_NAMED_FILE = {"type": "string", "format": "binary"}

PHOTOS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photos"],
                    "properties": {"photos": {"type": "array", "minItems": 1, "items": _NAMED_FILE}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["photos"],
                    "properties": {
                        "photos": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["data"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "data": {"type": "string", "format": "byte", "description": "Base64."},
                                },
                            },
                        }
                    },
                }
            },
        },
    }
}
"""The body of /v1/predict, which FastAPI does not read."""

CORRECTION: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo", "species"],
                    "properties": {
                        "photo": _NAMED_FILE,
                        "species": {"type": "string", "minLength": 1, "maxLength": 100},
                    },
                }
            }
        },
    }
}
"""The body of /v1/corrections."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a path may answer besides its result."""
    return {status: {"model": Problem} for status in statuses}
