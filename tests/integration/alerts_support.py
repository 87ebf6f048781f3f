"""A site for the alerts: a database, real receivers of mail and HTTP, and rows to be alarmed by."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from aiosmtpd.controller import Controller

from htcondor_operator.alerts.configuration import load_alerting
from htcondor_operator.alerts.poller import AlertPoller
from htcondor_operator.alerts.sending import Sent, send_due
from htcondor_operator.blackboard.link import Link
from htcondor_operator.launcher.ports import any_free
from htcondor_operator.queue.pollers.kinds import RoundResult
from htcondor_operator.settings import Settings
from tests.integration.deliveries_support import execute, rows

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
WEBHOOK = "htcondor_operator.notifications.webhook.WebhookNotifier"
SLACK = "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"
AT_ONCE = {"wait": 0, "calm": 0}


class Mailbox:
    """What a mail server took; `answer` other than 250 refuses."""

    def __init__(self) -> None:
        self.letters: list[Message] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.letters.append(message_from_bytes(envelope.content))
        return self.answer


@contextmanager
def mail_server() -> Iterator[tuple[Mailbox, Controller]]:
    """A real SMTP server on a free port."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=any_free(), ready_timeout=60)
    controller.start()
    try:
        yield mailbox, controller
    finally:
        controller.stop()


class Receiver:
    """What an HTTP server got; `status` is its answer, which waits while `silent` is set."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.got: list[tuple[str, dict[str, Any]]] = []
        """To which path what was sent: several may come at the same moment."""
        self.silent = threading.Event()
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.url = ""


@contextmanager
def http_server() -> Iterator[Receiver]:
    """A real HTTP server on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            while receiver.silent.is_set():
                time.sleep(0.05)
            if receiver.status == 200:
                receiver.got.append((self.path, json.loads(body)))
                receiver.bodies.append(receiver.got[-1][1])
                receiver.headers.append(dict(self.headers))
            self.send_response(receiver.status)
            if receiver.status in (301, 302):
                self.send_header("Location", receiver.url + "/elsewhere")
            with suppress(OSError):  # who asked may have given up
                self.end_headers()
                self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.silent.clear()
        server.shutdown()
        server.server_close()
        thread.join()


class Site:
    """Looks and sends as the DAG's two tasks do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = settings.database_url
        self.poller = AlertPoller(settings, "ALERTS")
        self.link = Link(settings, "test")

    def configure(self, *channels: dict[str, Any], **rules: dict[str, Any]) -> None:
        """Write the file: all rules at once and without hysteresis, unless `rules` says more."""
        from htcondor_operator.alerts.rules import RULES

        file = {
            "rules": [{"name": name, **AT_ONCE, **rules.get(name, {})} for name in RULES],
            "channels": list(channels),
        }
        self.settings.alerts.write_text(yaml.safe_dump(file))

    def look(self) -> RoundResult:
        return self.poller.round()

    def send(self, **more: Any) -> Sent:
        return send_due(self.link, load_alerting(self.settings.alerts), {}, **more)

    def execute(self, statement: str, **values: Any) -> None:
        execute(self.url, statement, **values) if values else execute(self.url, statement)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        return rows(self.url, statement)

    def open(self) -> dict[str, dict[str, Any]]:
        """Open alerts by rule (the tests have one of each at the most)."""
        found = self.rows("SELECT * FROM owl_alert WHERE state = 'open' ORDER BY id")
        return {row["rule"]: row for row in found}

    def fail(self, number: int, *, message: str = "no dark", node: str = "CA") -> None:
        """Let datasets fail for one cause."""
        self.execute(
            f"""
            WITH r AS (
                INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt)
                SELECT 'w', gen_random_uuid()::text, 'w', 'd' || gen_random_uuid(), 'failed', 1
                  FROM generate_series(1, {number}) RETURNING *)
            INSERT INTO owl_flow (run_key, dag_id, run_id, dataset, workflow, status, latest,
                priority, attempt, node, error_kind, error_message, fingerprint, created_at,
                updated_at)
            SELECT run_key, dag_id, run_id, dataset, 'w', 'failed', true, 0, 1, '{node}',
                   'reference_missing', '{message}', md5('{message}'), now(), now() FROM r
            """
        )

    def close(self) -> None:
        self.poller.close()
        self.link.close()


def site_at(folder: Path, database: str) -> Settings:
    """Settings of a site whose rules, channels and pollers a test writes."""
    (folder / "pollers.yaml").write_text("[]\n")
    (folder / "alerts.yaml").write_text("rules: []\n")
    return Settings.from_environment(
        {
            "OWL_HOME": str(folder),
            "OWL_DATABASE_URL": database,
            "OWL_POLLERS": str(folder / "pollers.yaml"),
            "OWL_ALERTS": str(folder / "alerts.yaml"),
        }
    )
