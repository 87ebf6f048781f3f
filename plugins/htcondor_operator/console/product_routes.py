"""``/products``: search the archive, see previews, take files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse

from htcondor_operator.blackboard import product_views
from htcondor_operator.blackboard.product_views import Cone, Search
from htcondor_operator.console.access import ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import Cursor, Limit, Listed
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError, dataset_name

router = APIRouter(prefix="/products", tags=["products"])

_SHOWN = {".png": "image/png", ".jpg": "image/jpeg"}
_FOR_A_MINUTE = "private, max-age=60"
"""A run that is made again makes new pictures of the same names."""


@router.get("")
def products(
    who: ReaderDep,
    dataset: Annotated[str | None, Query(max_length=63)] = None,
    target: Annotated[str | None, Query(max_length=80)] = None,
    instrument: Annotated[str | None, Query(max_length=20)] = None,
    since: datetime | None = None,
    until: datetime | None = None,
    ra: float | None = None,
    dec: float | None = None,
    radius: float | None = None,
    faulty: bool = False,
    sort: str = "-archived",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Listed:
    """Return a page of products; ``ra``, ``dec``, ``radius`` (degrees) make a cone."""
    search = Search(
        workflows=sorted(who.dags), dataset=dataset, target=target, instrument=instrument,
        since=since, until=until, cone=_cone(ra, dec, radius), faulty=faulty,
    )  # fmt: skip
    with connections.transaction() as cur:
        rows, following = product_views.page(cur, search, sort=sort, cursor=cursor, limit=limit)
    return Listed(rows=rows, next=following, as_of=datetime.now(UTC))


@router.get("/{number}/file", response_class=FileResponse)
def file(who: ReaderDep, number: int, request: Request) -> Response:
    """Return a product's file; previews are shown, everything else is a download."""
    with connections.transaction() as cur:
        found = product_views.product(cur, number)
    if found is None or (found["workflow"] and found["workflow"] not in who.dags):
        raise _nothing(f"product {number}")
    path = _path(found)
    kind = _SHOWN.get(path.suffix)
    if kind is None:
        # Said to be encoded, it is not compressed on its way (by Airflow's GZipMiddleware): that
        # costs the server's one event loop seconds, and the browser the knowledge of the size.
        headers = {"Content-Encoding": "identity", "Cache-Control": "private, no-cache"}
        return FileResponse(
            path, media_type=found["access_format"], filename=path.name, headers=headers
        )
    picture = FileResponse(
        path, media_type=kind, headers={"Cache-Control": _FOR_A_MINUTE}, stat_result=path.stat()
    )
    if request.headers.get("if-none-match") == picture.headers["etag"]:
        return NotModifiedResponse(picture.headers)
    return picture


def _path(found: dict[str, Any]) -> Path:
    """Return where a product lies: on its dataset's shelf and nowhere else."""
    archive = Settings.from_environment().archive
    shelf = (archive / dataset_name(found["dataset"]).lower()).resolve()
    path: Path = (shelf / str(found["name"])).resolve()
    if not path.is_relative_to(shelf) or not path.is_file():
        raise _nothing(f"{found['name']} of {found['dataset']} in the archive's folder")
    return path


def _cone(ra: float | None, dec: float | None, radius: float | None) -> Cone | None:
    given = [value for value in (ra, dec, radius) if value is not None]
    if not given:
        return None
    if len(given) < 3:
        raise OwlError(ErrorKind.BAD_CONF, "A cone needs ra, dec and radius, all in degrees.")
    assert ra is not None
    assert dec is not None
    assert radius is not None
    return Cone(ra, dec, radius)


def _nothing(what: str) -> HTTPException:
    return HTTPException(404, {"kind": "not_found", "message": f"{what}: nothing is there."})
