"""Looking, sending and acknowledging at the same moment: nobody's word is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection

from htcondor_operator.blackboard import alert_rows
from tests.integration.alerts_support import WEBHOOK, Receiver, Site, http_server, site_at
from tests.integration.mirror_support import until

pytestmark = pytest.mark.database


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(site_at(tmp_path, database))
    yield site
    site.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_server() as receiver:
        yield receiver


def is_waited_for(site: Site, other: PgConnection) -> bool:
    """Whether somebody waits for a lock of `other`'s."""
    return bool(
        site.rows(
            "SELECT pid FROM pg_stat_activity "
            f"WHERE {other.get_backend_pid()} = ANY(pg_blocking_pids(pid))"
        )
    )


def test_what_is_acknowledged_at_this_moment_is_not_told_again(
    site: Site, receiver: Receiver
) -> None:
    hook = {"name": "hook", "notifier": WEBHOOK, "arguments": {"url": receiver.url}}
    site.configure(hook, dataset_failed={"repeat": 60})
    site.fail(1)
    site.look()
    assert site.send().sent == 1
    site.execute("UPDATE owl_alert SET told_at = told_at - interval '2 minutes'")
    number = site.open()["dataset_failed"]["id"]
    with ThreadPoolExecutor(1) as other, closing(psycopg2.connect(site.url)) as operator:
        with operator.cursor() as cur:
            alert_rows.ack(cur, number, who="ada", reason="a new dark is made")
        looking = other.submit(site.look)
        until(lambda: is_waited_for(site, operator))
        operator.commit()
        assert looking.result(60).found == 0
    assert [row["why"] for row in site.rows("SELECT * FROM owl_alert_message")] == ["opened"]


def test_noting_what_was_sent_waits_for_an_ack_and_never_dies_of_it(
    site: Site, receiver: Receiver
) -> None:
    hook = {"name": "hook", "notifier": WEBHOOK, "arguments": {"url": receiver.url}}
    site.configure(hook)
    site.fail(1)
    site.look()
    number = site.open()["dataset_failed"]["id"]
    with ThreadPoolExecutor(1) as other, closing(psycopg2.connect(site.url)) as operator:
        # The first half of an ack; its second half touches the messages.
        operator.cursor().execute("UPDATE owl_alert SET acked_at = now()")
        sending = other.submit(site.send)
        until(lambda: is_waited_for(site, operator))
        alert_rows.drop_due(operator.cursor(), number, "acknowledged by ada")
        operator.commit()
        assert sending.result(60).sent == 1
    assert len(receiver.bodies) == 1
