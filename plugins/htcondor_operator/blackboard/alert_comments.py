"""Words for the tables of the alerts."""

from __future__ import annotations

ALERT_COMMENTS: dict[str, dict[str, str]] = {
    "owl_alert": {
        "": "What is or was wrong, one row from its beginning to its end.",
        "id": "Number of the alert.",
        "rule": "The rule of alerts.yaml that it broke.",
        "subject": "What it is about: a cause of failures, a poller, a workflow, a daemon.",
        "state": "`open` or `closed`.",
        "severity": "`info`, `warning`, `error` or `critical`.",
        "title": "What is wrong, in one line.",
        "count": "How many datasets, entries or things it concerns now.",
        "most": "The largest count it had.",
        "detail": "What else is known, with a sample.",
        "opened_at": "When it was first seen.",
        "seen_at": "When it was last seen.",
        "gone_at": "Since when it is not seen; it closes when that has lasted.",
        "closed_at": "When it was closed.",
        "told_count": "The count that people were told last.",
        "told_at": "When people were last told.",
        "acked_by": "Who takes care of it: nothing more is sent before it closes.",
        "acked_at": "When.",
        "ack_reason": "Why.",
    },
    "owl_alert_message": {
        "": "News of an alert for one channel.",
        "id": "Order of the messages.",
        "alert": "The alert.",
        "channel": "The channel of alerts.yaml.",
        "why": "`opened`, `grown`, `repeated` or `closed`: what it was made for.",
        "state": "`due`, `sent` or `cancelled`.",
        "due_at": "When it is sent, or tried again.",
        "tries": "How often it was tried.",
        "created_at": "When it was made.",
        "sent_at": "When the channel took it.",
        "error": "Why the last try failed, or why it was cancelled.",
    },
}
