"""What every request passes: the token, the end of the service, the headers, and the count."""

from __future__ import annotations

import asyncio
import logging
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leafgraft.serve.refusal import Refused
from leafgraft.serve.service import Service

SECURITY = {
    "Content-Security-Policy": ("default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'"),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_TOO_SLOW = 408


class Gate:
    """Stands before the application; an ASGI middleware."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer to a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(receive, headers, self._service.settings.limits.request_bytes)

        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                self._service.metrics.requests.labels(str(status)).inc()
                answer = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    answer[name] = value
                # A sender who is cut off in the middle never sees why.
                whole = status != _TOO_SLOW and await body.drained()
                if self._service.stopping or not whole:
                    answer["Connection"] = "close"
            await send(message)

        guarded = scope["path"].startswith("/v1/")
        self._service.active += guarded
        try:
            refused = self._refused(scope, headers)
            app = self._app if refused is None else refusal(refused)
            await app(scope, body.receive, sent)
        except Exception:
            logging.getLogger("leafgraft").exception("a request to %s has failed", scope["path"])
            if begun:
                raise
            await refusal(Refused(500, "The service has failed; its log says more."))(scope, body.receive, sent)
        finally:
            self._service.active -= guarded

    def _refused(self, scope: Scope, headers: Headers) -> Refused | None:
        path, token = scope["path"], self._service.settings.token
        if not path.startswith("/v1/") and path != "/metrics":
            return None
        if token is not None:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
                what = "names no token" if not given else "names a wrong token"
                return Refused(401, f"The request {what}.", {"WWW-Authenticate": "Bearer"})
        # Another page that somebody has open may send forms to this machine without asking.
        if scope["method"] == "POST" and headers.get("sec-fetch-site", "") in ("cross-site", "same-site"):
            return Refused(403, "Pages of other sites may not send photos here.")
        if self._service.stopping and path != "/metrics":
            return Refused(503, "The service is being stopped; ask again in some seconds.", {"Retry-After": "5"})
        return None


class _Body:
    """The body of a request, and whether its end has come."""

    def __init__(self, receive: Receive, headers: Headers, limit: int) -> None:
        self._receive = receive
        self._most = 2 * limit
        self._ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        # Whoever asks first whether to send anything has not begun yet.
        self._asks, self._begun = "expect" in headers, False

    async def receive(self) -> Message:
        """The next piece."""
        self._begun = True
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            self._ended = True
        return message

    async def drained(self) -> bool:
        """Read what nobody has read and throw it away, within limits; whether the end has come."""
        if self._asks and not self._begun:
            return self._ended
        read = 0
        try:
            async with asyncio.timeout(30):
                while not self._ended and read < self._most:
                    async with asyncio.timeout(2):
                        read += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass
        return self._ended


def refusal(reason: Refused) -> JSONResponse:
    """The answer that says why there is none."""
    return JSONResponse({"detail": reason.detail}, reason.status, reason.headers)
