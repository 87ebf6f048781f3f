"""``CampaignDecision``: carries out what a person decided about a proposed campaign."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from htcondor_operator.blackboard import campaign_rows
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.queue.campaigns import acts as campaigns
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import CampaignState, OwlError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg2.extensions import cursor as Cursor


class CampaignDecision(BaseOperator):
    """Approve or reject the campaign that the run's conf names (``dataset``).

    Parameters
    ----------
    asked
        Task id of the ``ApprovalOperator``.
    approve
        Which of the two it does.
    """

    def __init__(self, *, asked: str, approve: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asked = asked
        self.approve = approve

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it in one transaction; a campaign that was decided about elsewhere stays so."""
        name = str(context["params"]["dataset"])
        answer = context["ti"].xcom_pull(task_ids=self.asked) or {}
        by = _who(answer)
        try:
            with (
                closing(connect(Settings.from_environment(), application="approval")) as connection,
                connection,
                connection.cursor() as cur,
            ):
                return self._decide(cur, name, by)
        except OwlError as error:
            raise AirflowFailException(f"{error.kind.value}: {error.message}") from error

    def _decide(self, cur: Cursor, name: str, by: str) -> dict[str, Any]:
        campaign = campaign_rows.the_campaign(cur, name, lock=True)
        if campaign.state is not CampaignState.PROPOSED:
            self.log.warning("campaign %s is %s: nothing is done", name, campaign.state)
            return {"campaign": name, "state": str(campaign.state), "by": campaign.approved_by}
        if not self.approve:
            campaigns.reject(cur, name, by=by)
            return {"campaign": name, "state": "rejected", "by": by}
        put = campaigns.approve(cur, name, by=by)
        return {"campaign": name, "state": "running", "by": by, "added": put.added}


def _who(answer: Any) -> str:
    user = answer.get("responded_by_user") if isinstance(answer, dict) else None
    if isinstance(user, dict):
        return str(user.get("name") or user.get("id") or "airflow")
    return str(getattr(user, "name", None) or "airflow")
