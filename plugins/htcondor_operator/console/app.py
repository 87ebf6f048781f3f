"""The console's FastAPI application, mounted by Airflow under ``/owl``."""

from __future__ import annotations

import logging
from typing import Any

import psycopg2
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from htcondor_operator.console import (
    alert_routes,
    campaign_routes,
    error_routes,
    flow_routes,
    me_routes,
    poller_routes,
    pool_routes,
    product_routes,
    queue_routes,
    run_routes,
)
from htcondor_operator.console.addresses import STATIC
from htcondor_operator.console.headers import Bundle, Headers
from htcondor_operator.console.models import plain_request
from htcondor_operator.vocabulary import ErrorKind, OwlError

log = logging.getLogger(__name__)

PREFIX = "/owl"
ROUTERS = (
    me_routes.router,
    flow_routes.router,
    run_routes.router,
    error_routes.router,
    queue_routes.router,
    poller_routes.router,
    campaign_routes.router,
    product_routes.router,
    pool_routes.router,
    alert_routes.router,
)

_STATUS = {ErrorKind.INTERNAL: 500, ErrorKind.SCHEDD_SILENT: 503}


def make_app() -> FastAPI:
    """Return the application. No route of it answers without a login, documents included."""
    app = FastAPI(
        title="OWL",
        description="What the console's pages ask for.",
        dependencies=[Depends(get_user), Depends(plain_request)],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    for router in ROUTERS:
        app.include_router(router, prefix="/api")
    _mark_permissions(app)

    @app.get("/api/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return app.openapi()

    app.add_middleware(Headers)
    app.add_exception_handler(OwlError, _owl_error)
    app.add_exception_handler(psycopg2.Error, _database_error)
    app.add_exception_handler(ValueError, _value_error)
    app.add_exception_handler(RequestValidationError, _bad_field)
    if (STATIC / "main.js").is_file():
        app.mount("/static", Bundle(directory=STATIC), name="static")
    else:
        log.error(
            "%s is missing: OWL's pages will not open; build them (console/ui/build.sh)", STATIC
        )
    return app


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Return the documented routes."""
    return [r for r in app.routes if isinstance(r, APIRoute) and r.include_in_schema]


def permission_of(route: APIRoute) -> str | None:
    """Return the permission that a route's dependencies demand."""
    pending = list(route.dependant.dependencies)
    while pending:
        dependant = pending.pop()
        found = getattr(dependant.call, "owl_permission", None)
        if found is not None:
            return str(found)
        pending += dependant.dependencies
    return None


def _mark_permissions(app: FastAPI) -> None:
    for route in api_routes(app):
        extra = dict(route.openapi_extra or {})
        extra["x-owl-permission"] = permission_of(route)
        route.openapi_extra = extra


def _owl_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OwlError)
    detail = {"kind": str(error.kind), "message": error.message}
    return JSONResponse({"detail": detail}, _STATUS.get(error.kind, 422))


def _database_error(_request: Request, error: Exception) -> JSONResponse:
    """Say what can be done; the statement itself is for the log only."""
    log.error("the console's query failed: %s", str(error).strip())
    if isinstance(error, psycopg2.DataError):
        words = str(error).strip().partition("\n")[0]
        return JSONResponse({"detail": {"kind": "bad_field", "message": f"{words}."}}, 422)
    kind = "unavailable"
    if isinstance(error, psycopg2.errors.QueryCanceled):
        kind = "too_slow"
        message = "The database took too long. Narrow the filter, or try again."
    elif isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        message = "The database does not answer. Try again; `owl status` says what runs."
    else:
        return JSONResponse(
            {"detail": {"kind": "internal", "message": "OWL made a mistake; see the log."}}, 500
        )
    return JSONResponse({"detail": {"kind": kind, "message": message}}, 503)


def _value_error(_request: Request, error: Exception) -> JSONResponse:
    """Refuse text that the database's driver cannot send; other errors are mistakes of ours."""
    if not isinstance(error, UnicodeError) and "NUL" not in str(error):
        raise error
    message = "A text has a character that cannot be kept. Remove it."
    return JSONResponse({"detail": {"kind": "bad_field", "message": message}}, 422)


def _bad_field(_request: Request, error: Exception) -> JSONResponse:
    """Name the field as FastAPI does, without its value: it may be what cannot be written."""
    assert isinstance(error, RequestValidationError)
    shown = ("type", "loc", "msg")
    detail = [{name: each[name] for name in shown if name in each} for each in error.errors()]
    return JSONResponse({"detail": detail}, 422)
