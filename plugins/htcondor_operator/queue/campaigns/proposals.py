"""Campaigns that a new CRDS context asks for: which datasets, why, and the question to a person."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard import campaign_rows
from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.campaign_rows import Campaign, Wanted
from htcondor_operator.blackboard.dataset_filter import catalogued
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries, entry_ids, leave
from htcondor_operator.queue.campaigns.choosing import wanted
from htcondor_operator.queue.fitting import the_workflow
from htcondor_operator.queue.instruments import repro_workflow
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import CampaignState, EntryOutcome, ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

APPROVAL = "approve_campaign"
"""The DAG that asks a person; its entry in the queue has the campaign's name as fileset."""

APPROVAL_PRIORITY = 10_000
TIMEOUT_S = 3_600
_MAPPING_BAD = 43
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Affected:
    """What a new context changes for one dataset."""

    dataset: str
    changes: Mapping[str, tuple[str | None, str | None]]


def find_affected(cur: Cursor, settings: Settings, old: str, new: str) -> list[Affected]:
    """Return the archived datasets whose best references differ between two contexts.

    Raises
    ------
    Unreadable
        A mapping of one of the contexts is broken.
    OwlError
        The payload could not compare.
    """
    done = subprocess.run(
        [
            *(settings.python, "-m", "calibration", "affected", "--old", old, "--new", new),
            *("--references", str(settings.references)),
        ],
        input="".join(_exposures(cur)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    words = " ".join(done.stderr.split())[-500:]
    if done.returncode == _MAPPING_BAD:
        raise Unreadable(words)
    if done.returncode:
        raise OwlError(ErrorKind.INTERNAL, f"`calibration affected` failed: {words}")
    return merge_changes(json.loads(line) for line in done.stdout.splitlines() if line)


def merge_changes(answers: Iterable[Mapping[str, Any]]) -> list[Affected]:
    """Return one answer per dataset: an association has several exposures."""
    changes: dict[str, dict[str, tuple[str | None, str | None]]] = {}
    for answer in answers:
        own = changes.setdefault(answer["dataset"], {})
        own.update({key: (pair[0], pair[1]) for key, pair in answer["changes"].items()})
    return [Affected(dataset, own) for dataset, own in changes.items()]


def _exposures(cur: Cursor) -> Iterable[str]:
    """Yield what the payload must know of each archived exposure, as JSON lines."""
    cur.execute(
        """
        SELECT DISTINCT ON (dataset, obs_id) dataset, instrument_name, reference_keys
          FROM owl_product WHERE reference_keys <> '{}' AND instrument_name IS NOT NULL
         ORDER BY dataset, obs_id, archived_at DESC
        """
    )
    for dataset, instrument, keys in cur.fetchall():
        line = {"dataset": dataset, "instrument": instrument, "reference_keys": keys}
        yield json.dumps(line) + "\n"


def propose(
    cur: Cursor, templates: Path, affected: list[Affected], *, old: str, new: str, by: str
) -> str | None:
    """Propose the campaign and ask for approval, in the caller's transaction; return its name.

    None: there is nothing to reprocess, or the campaign was proposed before.
    """
    datasets, left_out = _wanted(cur, templates, [each.dataset for each in affected])
    if not datasets:
        return None
    counts = count_changes(affected)
    # Also the fileset of the question's entry, whose names are shorter.
    name = f"crds_{Path(new).stem}"[:63]
    reason = f"{new} instead of {old} changes {', '.join(sorted(counts))}"
    made = campaign_rows.insert_campaign(
        cur,
        Campaign(
            name=name,
            type="repro",
            state=CampaignState.PROPOSED,
            source="references",
            detail={
                "old": old,
                "new": new,
                "changes": counts,
                "left_out": left_out,
                "datasets": [asdict(each) for each in datasets],
            },
            reason=reason,
            created_by=by,
        ),
    )
    if not made:
        return None
    audit(
        cur,
        who=by,
        subject=f"campaign/{name}",
        action="propose",
        after={"datasets": len(datasets), "old": old, "new": new},
        reason=reason,
    )
    question = NewEntry(
        fileset=name,
        type=APPROVAL,
        priority=APPROVAL_PRIORITY,
        payload={
            "subject": f"Reprocess {len(datasets)} datasets with {new}?",
            "body": body(name, reason, counts, datasets, left_out),
        },
        reason="a proposed campaign needs approval",
        requested_by=by,
    )
    add_entries(cur, [question])
    return name


def count_changes(affected: Iterable[Affected]) -> dict[str, dict[str, int]]:
    """Return how many datasets get which file instead of which, by keyword."""
    counts: dict[str, Counter[str]] = {}
    for each in affected:
        for keyword, (old, new) in each.changes.items():
            words = f"{old or 'none'} -> {new or 'none'}"
            counts.setdefault(keyword, Counter())[words] += 1
    return {keyword: dict(count.most_common()) for keyword, count in sorted(counts.items())}


def _wanted(cur: Cursor, templates: Path, names: list[str]) -> tuple[list[Wanted], list[str]]:
    """Return what is asked for, and the datasets for which there is no workflow."""
    datasets, left_out = [], []
    for found in catalogued(cur, names):
        type_ = repro_workflow(found.instrument or "", is_association=found.is_association)
        if type_ is None:
            left_out.append(found.dataset)
        else:
            datasets.append(wanted(found, the_workflow(templates, type_), {}))
    return datasets, left_out


def body(
    name: str,
    reason: str,
    counts: Mapping[str, Mapping[str, int]],
    datasets: list[Wanted],
    left_out: list[str],
) -> str:
    """Return the question's text (Markdown)."""
    lines = [f"Campaign `{name}`: {reason}.", ""]
    lines += ["| keyword | old -> new | datasets |", "|---|---|---|"]
    rows = [(key, words, n) for key, count in counts.items() for words, n in count.items()]
    lines += [f"| {key} | {words} | {n} |" for key, words, n in rows[:_MOST_SHOWN]]
    if len(rows) > _MOST_SHOWN:
        lines.append(f"| ... | {len(rows) - _MOST_SHOWN} more | |")
    types = Counter(each.type for each in datasets)
    lines += ["", "Runs: " + ", ".join(f"{n} x {type_}" for type_, n in sorted(types.items()))]
    if left_out:
        lines.append(f"Left out ({len(left_out)}): no workflow for their instrument.")
    lines += ["", "*Approve* fills the queue, *Reject* drops the campaign."]
    return "\n".join(lines)


def withdraw_question(cur: Cursor, name: str, *, by: str) -> list[tuple[str, str]]:
    """Take back the question about a campaign that was decided elsewhere.

    Returns
    -------
    list
        DAG runs (DAG id, run id) that still wait for the answer: Airflow must be told.
    """
    waiting = list(entry_ids(cur, APPROVAL, [name]).values())
    leave(cur, waiting, EntryOutcome.REMOVED, f"{by} decided on the command line")
    cur.execute(
        """
        SELECT dag_id, run_id FROM owl_queue_history
         WHERE fileset = %(name)s AND type = %(type)s AND outcome = 'shoveled'
        """,
        {"name": name, "type": APPROVAL},
    )
    return [(row[0], row[1]) for row in cur.fetchall()]
