"""The unit in whose reports each dossier counts."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None
#: An earlier node does not look at this table.
part = "before"

#: How each database finds codes of the national form: agency code, date, sequence.
_NATIONAL = {
    "sqlite": "(key GLOB '[A-Z][0-9][0-9]*-[0-9][0-9][0-9][0-9][0-9][0-9]*-[0-9]*'"
    " OR key GLOB '[0-9][0-9][0-9].[0-9][0-9].[0-9][0-9].[A-Z][0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]*-[0-9]*')"
    " AND key NOT LIKE '% %'",
    "postgresql": r"key ~ '^([0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-Z][0-9]{2}|[A-Z][0-9]{2}(\.[A-Z0-9]{1,3}){0,3})"
    r"-([0-9]{6}|[0-9]{8})-[0-9]{1,12}$'",
}
#: Where several units reported one code, the unit that the code names is preferred, then the first that reported it.
_FILL = """
INSERT INTO dossier (dossier, unit, origin)
SELECT key, unit, unit FROM (
    SELECT key, unit, row_number() OVER (
        PARTITION BY key ORDER BY CASE WHEN substr(key, 1, length(unit) + 1) = unit || '-' THEN 0 ELSE 1 END, at, unit
    ) AS place
    FROM fact WHERE service = 'dossiers' AND milestone IN ('received', 'finished', 'refused') AND {national}
) AS told WHERE place = 1
"""


def upgrade() -> None:
    """Create the table, and fill it from the recorded facts."""
    op.create_table(
        "dossier",
        sa.Column("dossier", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("unit", "origin")),
        sa.Column("competent", sa.Text, nullable=False, server_default=""),
    )
    connection = op.get_bind()
    connection.execute(sa.text(_FILL.format(national=_NATIONAL[connection.dialect.name])))
