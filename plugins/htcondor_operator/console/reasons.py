"""Words for what kept one thing of many from being done."""

from __future__ import annotations

import logging

import psycopg2

from htcondor_operator.vocabulary import OwlError

log = logging.getLogger(__name__)

_BUSY = (
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.QueryCanceled,
    psycopg2.errors.SerializationFailure,
)


def why_not(error: Exception, what: str) -> str:
    """Return why it was not done; what an operator cannot mend goes to the log as well.

    Parameters
    ----------
    what
        What was tried, for the log.
    """
    if isinstance(error, OwlError):
        return error.message
    # SQLAlchemy wraps the driver's error.
    cause = getattr(error, "orig", error)
    if isinstance(cause, _BUSY):
        return "Somebody else is changing it. Nothing was done; try again in a moment."
    log.error("%s failed", what, exc_info=error)
    if isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError):
        return "The database does not answer. Look at its state before you try again."
    return "OWL made a mistake, and nothing was done; the log of the API server says which."
