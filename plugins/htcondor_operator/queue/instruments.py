"""The queue's names of instruments."""

from __future__ import annotations

_BY_LETTER = {"j": "ACS", "i": "WF3", "o": "STIS", "l": "COS"}
_BY_CATALOGUE = {"WFC3": "WF3"}


def queue_instrument(dataset: str, catalogue: str | None = None) -> str | None:
    """Return the queue's name of a dataset's instrument, if it is known.

    Parameters
    ----------
    dataset
        Its name, whose first letter tells the instrument of a Hubble rootname.
    catalogue
        The catalogue's name of the instrument.
    """
    if catalogue:
        return _BY_CATALOGUE.get(catalogue, catalogue)
    is_rootname = len(dataset) == 9 and dataset.islower()
    return _BY_LETTER.get(dataset[0]) if is_rootname else None


SHORT = {"ACS": "acs", "WFC3": "wf3", "STIS": "stis", "COS": "cos"}
"""The catalogue's name of an instrument -> its name in the ids of workflows and DAGs."""


def repro_workflow(catalogue: str, *, is_association: bool) -> str | None:
    """Return the workflow that reprocesses an archived dataset; None when there is none."""
    short = SHORT.get(catalogue.upper())
    return short and f"{short}_{'asn' if is_association else 'single'}_repro"
