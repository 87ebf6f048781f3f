"""What browsers and proxies between may do with the console's answers.

Nobody in between may keep them (they are one user's), nobody may take them for another type than
they say, and pages of other origins may not show them: the session cookie comes along from other
ports of the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders, QueryParams

from htcondor_operator.console.addresses import digest

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Nothing here is a page; should something be taken for one, it may do nothing. (Browsers dress
    # the page that they make of a lone picture with a style.)
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    ),
}
UNLESS_SAID = {"Cache-Control": "no-store"}


class Headers:
    """Middleware that adds :data:`ALWAYS`, and :data:`UNLESS_SAID` where a route says nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                for name, value in UNLESS_SAID.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, adding)


class Bundle(StaticFiles):
    """The built files. One that is asked for by its digest is kept for ever."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, *more: Any) -> Response:
        """Return a file.

        During an upgrade the page may be of the new version and the server of the old: what it
        sends must not be kept under the new one's name.
        """
        response = super().file_response(full_path, stat_result, scope, *more)
        asked = QueryParams(scope.get("query_string", b"")).get("v")
        same = asked is not None and asked == digest(Path(full_path))
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if same else "no-cache"
        )
        return response
