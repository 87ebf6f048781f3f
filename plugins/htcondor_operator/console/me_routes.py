"""``/me``: who is logged in, what he may do, and the words that the pages need."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from htcondor_operator.console.access import Permission, ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.dagman.node_names import node_names
from htcondor_operator.dagman.workflows import DECLARATION
from htcondor_operator.exit_codes import exit_codes
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ERROR_SENTENCES, RunState

router = APIRouter(tags=["me"])


class Me(BaseModel):
    """The logged-in user and the page's vocabulary."""

    user: str
    can: dict[str, bool]
    version: str
    workflows: list[str]
    nodes: list[str]
    statuses: list[str]
    exit_codes: dict[str, dict[str, str]]
    errors: dict[str, str]


@router.get("/me")
def me(who: ReaderDep) -> Me:
    """Return who asks. ``can`` decides which controls are shown; every route decides by itself."""
    with connections.transaction() as cur:
        cur.execute(
            "SELECT DISTINCT workflow FROM owl_flow_tally WHERE n > 0 AND dag_id = ANY(%(dags)s)",
            {"dags": list(who.dags)},
        )
        seen = {row[0] for row in cur.fetchall()}
    # A template's DAG has its name; runs of DAGs that are written by hand are of workflows, too.
    templates = Settings.from_environment().templates
    declared = {path.parent.name for path in templates.glob(f"*/{DECLARATION}")}
    return Me(
        user=who.name,
        can={str(p): _somewhere(who, p) for p in Permission},
        version=version("owl-for-airflow"),
        workflows=sorted(seen | (declared & who.dags)),
        nodes=node_names(templates, who.dags),
        statuses=[str(state) for state in RunState],
        exit_codes={
            str(code): {"name": name, "sentence": sentence}
            for code, (name, sentence) in exit_codes().items()
        },
        errors={str(kind): sentence for kind, sentence in ERROR_SENTENCES.items()},
    )


def _somewhere(who: Any, permission: Permission) -> bool:
    return who.may(permission, None) or any(who.may(permission, dag) for dag in who.dags)
