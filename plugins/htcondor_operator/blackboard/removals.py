"""Who removed a run: a person on purpose, or a rule of HTCondor's, which is a failure."""

from __future__ import annotations

BY_A_RULE = """
EXISTS (SELECT FROM owl_run rr
          JOIN owl_attempt ra ON ra.run_key = rr.run_key AND ra.attempt = rr.latest_attempt
         WHERE rr.run_key = {run_key} AND rr.state = 'removed'
           AND coalesce(ra.error_message, '') ~* 'periodic_?remove')
"""
"""Whether a run was removed by ``periodic_remove`` or ``SYSTEM_PERIODIC_REMOVE``."""

ON_PURPOSE = f"""
EXISTS (SELECT FROM owl_run rp
         WHERE rp.dag_id = {{dag_id}} AND rp.run_id = {{run_id}} AND rp.state = 'removed'
           AND NOT {BY_A_RULE.format(run_key="rp.run_key")})
"""
"""Whether the run of a DAG run was taken out of HTCondor by somebody."""
