"""What all nouns of the console's API share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

MOST_KEYS = 100
"""Of one write: the pages send bigger selections in parts and show how far they are."""


class Strict(BaseModel):
    """A body whose unknown fields are errors, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid")


class Listed(BaseModel):
    """A page of a list."""

    rows: list[dict[str, Any]]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")
    as_of: datetime | None = Field(description="Of when the rows are; null: nobody has looked yet.")


class Write(Strict):
    """What every write has."""

    reason: str | None = Field(None, max_length=500, description="Why; it is kept in the audit.")
    dry_run: bool = Field(False, description="Only say what would happen.")


class Item(BaseModel):
    """What happens, or has happened, to one thing."""

    key: int | str
    name: str
    will: str
    why_not: str | None = None


class Outcome(BaseModel):
    """The answer to a write, or to its dry run."""

    summary: str
    items: list[Item]
    done: int = Field(description="How many were changed; 0 for a dry run.")


Limit = Annotated[int, Query(ge=1, le=500, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=400, description="From the page before.")]
