"""Keeps the names of targets beside the products: triggers note what is new."""

from __future__ import annotations

import sqlalchemy as sa

from htcondor_operator.blackboard.intake_tables import owl_product, owl_target

FUNCTION = """
CREATE OR REPLACE FUNCTION owl_target_noted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owl_target (target)
    SELECT DISTINCT lower(target_name) FROM new_rows WHERE target_name IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$"""

TRIGGERS = (
    FUNCTION,
    *(
        f"CREATE TRIGGER owl_product_target_{event} AFTER {event.upper()} ON owl_product "
        "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_target_noted()"
        for event in ("insert", "update")
    ),
)
"""What makes PostgreSQL note targets. Migration 0003 has it word for word."""


def _ddl(statement: str) -> sa.DDL:
    return sa.DDL(statement)  # type: ignore[no-untyped-call]


owl_target.add_is_dependent_on(owl_product)
for _statement in TRIGGERS:
    sa.event.listen(owl_target, "after_create", _ddl(_statement))
sa.event.listen(
    owl_target, "after_drop", _ddl("DROP FUNCTION IF EXISTS owl_target_noted() CASCADE")
)
