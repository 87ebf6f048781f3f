"""``WebhookNotifier``: an HTTP POST of JSON, for whatever has no Airflow provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

TIMEOUT_S = 10.0


class WebhookError(Exception):
    """The receiver did not take it."""


class _NoRedirect(HTTPRedirectHandler):
    """A POST must not become a GET, and its secrets must not go elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


class WebhookNotifier(BaseNotifier):
    """POST JSON to an address.

    Parameters
    ----------
    url
        Where to; a template. Empty: that of the connection.
    payload
        What to send, a template in all its texts; None: the whole alert, as JSON.
    headers
        Further headers, templates.
    http_conn_id
        An Airflow connection of type ``http`` for what is secret: its host (and schema, port) is
        the address if `url` is empty, its extra holds headers, login and password become basic
        authentication, a password alone a bearer token.
    timeout_s
        Seconds until the receiver counts as down.
    """

    template_fields: Sequence[str] = ("url", "payload", "headers")

    def __init__(
        self,
        *,
        url: str = "",
        payload: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        http_conn_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not url and not http_conn_id:
            raise ValueError("give url or http_conn_id")
        if url and "{{" not in url and urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"url {url!r} must begin with http:// or https://")
        self.url = url
        self.payload = dict(payload) if payload is not None else None
        self.headers = dict(headers or {})
        self.http_conn_id = http_conn_id
        self.timeout_s = timeout_s

    def notify(self, context: Context) -> None:
        """Send it; anything but an answer 2xx is an error.

        Raises
        ------
        WebhookError
            The receiver is down or refused; the message holds no secret.
        """
        url, headers = self._where()
        if urlsplit(url).scheme not in {"http", "https"}:
            raise WebhookError(f"the address must begin with http:// or https://, not {url[:12]!r}")
        body = json.dumps(self._body(context), default=str).encode()
        request = Request(url, body, {"Content-Type": "application/json", **headers})  # noqa: S310
        where = urlsplit(url).hostname
        try:
            with build_opener(_NoRedirect()).open(request, timeout=self.timeout_s) as answer:
                answer.read(1024)
        except HTTPError as error:
            words = error.read(300).decode(errors="replace").strip()
            raise WebhookError(f"{where} answered {error.code} {words}".strip()) from None
        except (URLError, OSError) as error:
            raise WebhookError(f"{where} does not answer: {error}") from None

    def _body(self, context: Context) -> Any:
        if self.payload is not None:
            return self.payload
        alert = context.get("alert")
        if alert is not None:
            return alert.as_json()
        failure = context.get("htcondor")
        text = getattr(failure, "text", None) or f"Airflow: {context.get('ti')}"
        return {"subject": getattr(failure, "subject", text), "text": text}

    def _where(self) -> tuple[str, dict[str, str]]:
        if self.http_conn_id is None:
            return self.url, self.headers
        from base64 import b64encode

        from airflow.sdk import Connection

        found = Connection.get(self.http_conn_id)
        headers = {str(k): str(v) for k, v in (found.extra_dejson or {}).items()}
        if found.login:
            pair = f"{found.login}:{found.password or ''}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        elif found.password:
            headers["Authorization"] = f"Bearer {found.password}"
        host = found.host or ""
        if "://" not in host:
            host = f"{found.schema or 'http'}://{host}"
        scheme, _, rest = host.partition("://")
        place, slash, path = rest.partition("/")
        port = f":{found.port}" if found.port and ":" not in place else ""
        return self.url or f"{scheme}://{place}{port}{slash}{path}", {**headers, **self.headers}
