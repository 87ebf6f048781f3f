"""Who may do what: every route asks Airflow's auth manager.

Airflow (3.3.2) does not protect a plugin's application, so the application itself demands a login
for everything (:mod:`app`), and each route names one of the permissions below. A session cookie is
sent along by the browser from any page of the same site, other ports included: writes therefore
want a header that a form cannot send, and an Origin that is this server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request

HEADER = "X-OWL-Request"


class Permission(StrEnum):
    """What a route demands; the name is shown in the OpenAPI document (``x-owl-permission``).

    ``read``: may read at least one DAG; lists hold the rows of readable DAGs only. ``operate``: may
    change task instances of the DAG that a run belongs to (clear, hold, remove). ``request``: may
    trigger the DAG that an entry or a campaign is for. ``manage``: may pause and change the
    poller's DAG. ``administer``: may change Airflow's configuration, for policies and accepted
    errors that concern everybody.
    """

    READ = "read"
    OPERATE = "operate"
    REQUEST = "request"
    MANAGE = "manage"
    ADMINISTER = "administer"


@dataclass(frozen=True)
class Caller:
    """A logged-in user and the DAGs that he may read.

    Parameters
    ----------
    user
        Airflow's user.
    name
        For the audit.
    dags
        Readable DAGs.
    """

    user: Any
    name: str
    dags: frozenset[str]

    def may(self, permission: Permission, dag_id: str | None) -> bool:
        """Whether this caller has a permission for a DAG (None: for all DAGs)."""
        return _asks(permission, self.user, dag_id)

    def demand(self, permission: Permission, dag_ids: Iterable[str]) -> None:
        """Raise 403 naming the DAGs for which the permission is missing."""
        missing = sorted({dag for dag in dag_ids if not self.may(permission, dag)})
        if missing:
            raise refused(f"{self.name} may not {permission} {', '.join(missing)}.")


def refused(message: str) -> HTTPException:
    """Return the answer 403."""
    return HTTPException(403, {"kind": "forbidden", "message": message})


def _asks(permission: Permission, user: Any, dag_id: str | None) -> bool:
    manager = get_auth_manager()
    details = DagDetails(id=dag_id)
    if permission is Permission.READ:
        return bool(manager.is_authorized_dag(method="GET", details=details, user=user))
    if permission is Permission.OPERATE:
        return bool(
            manager.is_authorized_dag(
                method="PUT", access_entity=DagAccessEntity.TASK_INSTANCE,
                details=details, user=user,
            )
        )  # fmt: skip
    if permission is Permission.REQUEST:
        return bool(
            manager.is_authorized_dag(
                method="POST", access_entity=DagAccessEntity.RUN, details=details, user=user
            )
        )
    if permission is Permission.MANAGE:
        return bool(manager.is_authorized_dag(method="PUT", details=details, user=user))
    return bool(manager.is_authorized_configuration(method="PUT", user=user))


def caller(user: GetUserDep) -> Caller:
    """Return who asks; 403 when no DAG may be read."""
    dags = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    found = Caller(user, str(user.get_name()), frozenset(dags))
    if not dags and not found.may(Permission.READ, None):
        raise refused(f"{found.name} may read no DAG.")
    return found


CallerDep = Annotated[Caller, Depends(caller)]


def _from_here(request: Request) -> bool:
    """Whether a page of this server made the request (or a program that sent its own token)."""
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return True
    if HEADER not in request.headers:
        return False
    # The browser's own word, where it gives one (on https and localhost): no name in between,
    # rewritten by a proxy or not, can make a foreign page look like ours.
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    page = request.headers.get("origin") or request.headers.get("referer") or ""
    base = str(conf.get("api", "base_url"))
    asked = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return same_origin(page, base) or same_origin(page, asked)


def same_origin(page: str, ours: str) -> bool:
    """Whether a page is of an origin of ours.

    A page that came by https fits an `ours` of http: before a proxy that ends TLS, the server knows
    its own scheme only if it believes the proxy (``airflow api-server --proxy-headers``). A page
    that came by http never fits https: anybody on the way may have written it.
    """
    try:
        its, own = urlsplit(page), urlsplit(ours)
        if its.scheme not in _PORTS or not its.hostname or its.hostname != own.hostname:
            return False
        if its.scheme == "http" and own.scheme != "http":
            return False
        default = _PORTS[its.scheme]
        return (its.port or default) == (own.port or default)
    except ValueError:  # no port, no host: from outside comes anything
        return False


_PORTS = {"http": 80, "https": 443}


def writes(permission: Permission) -> Callable[[Request, Caller], Caller]:
    """Return the dependency of a route that changes something.

    It refuses foreign pages, and callers who lack the permission for every DAG; which DAGs a
    request is about is known later, see :meth:`Caller.demand`.
    """

    def check(request: Request, who: CallerDep) -> Caller:
        if not _from_here(request):
            raise refused(
                f"Writes need the header {HEADER} and an Origin of this server, or a bearer token."
            )
        if not who.may(permission, None) and not any(who.may(permission, d) for d in who.dags):
            raise refused(f"{who.name} may not {permission} anything here.")
        return who

    check.owl_permission = permission  # type: ignore[attr-defined]
    return check


def reads() -> Callable[[Caller], Caller]:
    """Return the dependency of a route that only shows something."""

    def check(who: CallerDep) -> Caller:
        return who

    check.owl_permission = Permission.READ  # type: ignore[attr-defined]
    return check


ReaderDep = Annotated[Caller, Depends(reads())]
OperatorDep = Annotated[Caller, Depends(writes(Permission.OPERATE))]
RequesterDep = Annotated[Caller, Depends(writes(Permission.REQUEST))]
ManagerDep = Annotated[Caller, Depends(writes(Permission.MANAGE))]
AdministratorDep = Annotated[Caller, Depends(writes(Permission.ADMINISTER))]
