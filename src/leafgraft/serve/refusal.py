"""Why a request is not answered: a status of HTTP and one sentence."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):  # noqa: N818 - the name says what it means
    """A request that gets no answer.

    Attributes:
        status: of HTTP, 400-599.
        detail: one sentence for whoever asked.
        headers: of the response.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


class Busy(Refused):
    """There is more to do than the service takes on; it is worth asking again."""

    def __init__(self, detail: str = "The service has as much to do as it takes on; ask again in a second.") -> None:
        super().__init__(503, detail, {"Retry-After": "1"})
