"""Which datasets a campaign is for: a list of names, or a question to the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.campaign_rows import Wanted
from htcondor_operator.blackboard.dataset_filter import Found, catalogued, find_datasets, parse
from htcondor_operator.dagman.workflows import (
    Workflow,
    check_params,
)
from htcondor_operator.queue.campaigns.dataset_lists import read_datasets
from htcondor_operator.queue.fitting import the_workflow
from htcondor_operator.queue.instruments import queue_instrument
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def choose(
    cur: Cursor,
    templates: Path,
    type_: str,
    *,
    lines: Iterable[str] | None,
    where: str | None,
    params: Mapping[str, Any],
    source: str = "",
) -> list[Wanted]:
    """Return the datasets of a list or of a query.

    Parameters
    ----------
    lines, where
        One of the two.
    params
        Parameters of the workflow, the same for all.
    source
        Where `lines` are from, for messages.
    """
    if (lines is None) == (where is None):
        raise OwlError(
            ErrorKind.BAD_CONF, "Choose the datasets by one of --datasets FILE and --where FILTER."
        )
    workflow = the_workflow(templates, type_)
    # Those that are not given here may be given by each dataset (members).
    check_params(workflow, {**workflow.sample.get("params", {}), **params})
    if lines is not None:
        names = read_datasets(lines, source)
        known = {each.dataset: each for each in catalogued(cur, names)}
        found = [known.get(name) or Found(name, None) for name in names]
    else:
        found = find_datasets(cur, parse(where or ""))
    return [wanted(each, workflow, params) for each in found]


def wanted(found: Found, workflow: Workflow, params: Mapping[str, Any]) -> Wanted:
    """Return what a campaign asks for of one dataset.

    Raises
    ------
    OwlError
        The workflow needs an association's members, and they are not known.
    """
    payload = dict(params)
    if "members" in workflow.params and "members" not in payload:
        if found.members:
            payload["members"] = list(found.members)
        elif "default" not in workflow.params["members"]:
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"{found.dataset} is not an association of the archive's catalogue, so its members "
                f"are not known, and {workflow.name} needs them. Leave it out.",
            )
    instrument = queue_instrument(found.dataset, workflow.instrument or found.instrument)
    return Wanted(found.dataset, workflow.name, instrument, payload)
