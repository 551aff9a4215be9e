"""Brings a journal of the internal build 2026.11.0 to the schema of the first release, which it only adds to.

The statements are those of that release, whatever `hub.store.tables` says later. Only the triggers that count are those of
today. Nothing is filled in but the count of what waits: the hub does the rest in steps, beside the exchange.
"""

from alembic import op

from hub.store.waiting_triggers import create_waiting_triggers

revision = "0066"
down_revision = "0050"
branch_labels = None
depends_on = None
#: A node of 2026.11.0 writes none of this, and needs none of it. It must not run beside one that lets messages go to an
#: archive, which marks this version as one that removes (`hub.keeping.retention.letting_go`).
part = "before"

#: The names of types and values that the two databases do not share.
_WORDS = {
    "sqlite": {"octets": "BLOB", "no": "0"},
    "postgresql": {"octets": "BYTEA", "no": "false"},
}
_STATEMENTS = """
ALTER TABLE node ADD COLUMN restart_settings TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN restart_since VARCHAR(27);
ALTER TABLE node ADD COLUMN last_commit VARCHAR(24);
ALTER TABLE message ADD COLUMN archive INTEGER;
ALTER TABLE message ADD COLUMN trace VARCHAR(55);
ALTER TABLE delivery ADD COLUMN given_up BOOLEAN NOT NULL DEFAULT {no};
ALTER TABLE delivery ADD COLUMN returns SMALLINT;
ALTER TABLE attempt ADD COLUMN progress TEXT;
ALTER TABLE dossier ADD COLUMN key TEXT NOT NULL DEFAULT '';

CREATE TABLE hub_alert (
    kind TEXT NOT NULL, about TEXT NOT NULL, node TEXT NOT NULL, severity TEXT NOT NULL, "values" TEXT NOT NULL,
    mark TEXT NOT NULL, since VARCHAR(27) NOT NULL, absent_since VARCHAR(27), ended_at VARCHAR(27),
    reminded_at VARCHAR(27), acknowledged_at VARCHAR(27), acknowledged_by TEXT NOT NULL,
    acknowledged_note TEXT NOT NULL, changed_at VARCHAR(27) NOT NULL, PRIMARY KEY (kind, about, node)
);
CREATE TABLE hub_alert_notice (
    id VARCHAR(36) NOT NULL, channel TEXT NOT NULL, transition TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL,
    alert_node TEXT NOT NULL, severity TEXT NOT NULL, "values" TEXT NOT NULL, since VARCHAR(27) NOT NULL,
    at VARCHAR(27) NOT NULL, due VARCHAR(27) NOT NULL, state TEXT NOT NULL, batch VARCHAR(36), node TEXT NOT NULL,
    attempts INTEGER NOT NULL, reason TEXT NOT NULL, changed_at VARCHAR(27) NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX ix_hub_alert_notice_unsent ON hub_alert_notice (due) WHERE state IN ('waiting', 'sending');

CREATE TABLE receipt_form (sha256 VARCHAR(64) NOT NULL, octets {octets} NOT NULL, PRIMARY KEY (sha256));
CREATE TABLE kept_receipt (
    message VARCHAR(36) NOT NULL, form VARCHAR(64) NOT NULL, packed {octets} NOT NULL, PRIMARY KEY (message),
    FOREIGN KEY(message) REFERENCES message (id), FOREIGN KEY(form) REFERENCES receipt_form (sha256)
);
CREATE TABLE chain_gap (
    first BIGINT NOT NULL, last BIGINT NOT NULL, hash VARCHAR(64) NOT NULL, PRIMARY KEY (first),
    CONSTRAINT uq_chain_gap_last UNIQUE (last)
);
CREATE TABLE retention_part (
    number INTEGER NOT NULL, month VARCHAR(7) NOT NULL, state TEXT NOT NULL, archive VARCHAR(36),
    announced_at VARCHAR(27) NOT NULL, due_at VARCHAR(27) NOT NULL, changed_at VARCHAR(27) NOT NULL,
    messages BIGINT NOT NULL, octets BIGINT NOT NULL, events BIGINT NOT NULL DEFAULT '0',
    reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (number)
);
CREATE TABLE archive (
    id VARCHAR(36) NOT NULL, period VARCHAR(7) NOT NULL, path TEXT NOT NULL, size BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL, made_at VARCHAR(27) NOT NULL, messages INTEGER NOT NULL, events BIGINT NOT NULL,
    octets BIGINT NOT NULL, first_message VARCHAR(36), last_message VARCHAR(36), first_number BIGINT,
    last_number BIGINT, PRIMARY KEY (id)
);
CREATE INDEX ix_archive_period ON archive (period, id);
CREATE INDEX ix_archive_messages ON archive (first_message, last_message) WHERE first_message IS NOT NULL;
CREATE TABLE journal_size (
    day VARCHAR(10) NOT NULL, octets BIGINT NOT NULL, free BIGINT NOT NULL, measured_at VARCHAR(27) NOT NULL,
    PRIMARY KEY (day)
);

CREATE TABLE backup_run (
    id VARCHAR(36) NOT NULL, due VARCHAR(27), attempt SMALLINT NOT NULL, node TEXT NOT NULL,
    started_at VARCHAR(27) NOT NULL, ended_at VARCHAR(27), outcome TEXT NOT NULL, made_at VARCHAR(27), file TEXT,
    octets BIGINT, number BIGINT, restored BOOLEAN, reason TEXT, PRIMARY KEY (id),
    CONSTRAINT uq_backup_run_due UNIQUE (due, attempt)
);
CREATE TABLE era (
    number INTEGER NOT NULL, id VARCHAR(36) NOT NULL, began_at VARCHAR(27) NOT NULL, because TEXT NOT NULL,
    reason TEXT NOT NULL, "by" TEXT NOT NULL, backup TEXT NOT NULL, event BIGINT NOT NULL, hash VARCHAR(64) NOT NULL,
    since VARCHAR(27), complete BOOLEAN NOT NULL, complete_from VARCHAR(27), complete_until VARCHAR(27),
    PRIMARY KEY (number)
);
CREATE TABLE lost_receipt (
    id VARCHAR(36) NOT NULL, era INTEGER NOT NULL, partner TEXT NOT NULL, message_id TEXT NOT NULL,
    sha256 VARCHAR(64) NOT NULL, received_at VARCHAR(27) NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX ix_lost_receipt_partner ON lost_receipt (partner, id);

CREATE TABLE sighting (
    partner TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, first_at VARCHAR(27) NOT NULL,
    last_at VARCHAR(27) NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (partner, kind, value)
);
CREATE TABLE attestation (
    number BIGINT NOT NULL, form TEXT NOT NULL, period VARCHAR(7) NOT NULL, statement TEXT NOT NULL,
    signature TEXT NOT NULL, certificate TEXT NOT NULL, copy {octets} NOT NULL, PRIMARY KEY (number)
);
CREATE INDEX ix_attestation_month ON attestation (form, period, number);
CREATE TABLE tampering (
    place TEXT NOT NULL, part TEXT NOT NULL, form TEXT NOT NULL, period TEXT NOT NULL, unit TEXT NOT NULL,
    service TEXT NOT NULL, key TEXT NOT NULL, milestone TEXT NOT NULL, found_at VARCHAR(27) NOT NULL,
    PRIMARY KEY (place)
);
CREATE INDEX ix_tampering_service ON tampering (service, part);

CREATE TABLE succession_share (
    deed TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, number INTEGER NOT NULL, successor TEXT NOT NULL,
    PRIMARY KEY (deed, kind, value), FOREIGN KEY(successor) REFERENCES unit (code)
);
CREATE TABLE succession_part (
    deed TEXT NOT NULL, unit TEXT NOT NULL, since VARCHAR(10) NOT NULL, reference TEXT NOT NULL,
    recorded_by TEXT NOT NULL, recorded_at VARCHAR(27) NOT NULL, PRIMARY KEY (deed, unit),
    FOREIGN KEY(unit) REFERENCES unit (code)
);
CREATE INDEX ix_succession_part_unit ON succession_part (unit);

CREATE TABLE waiting_count (
    partner TEXT NOT NULL, state TEXT NOT NULL, serial BIGINT NOT NULL, count BIGINT NOT NULL,
    PRIMARY KEY (partner, state, serial)
)
"""


def upgrade() -> None:
    """Add the columns, the tables and their indexes, and count what waits."""
    connection = op.get_bind()
    for statement in _STATEMENTS.format_map(_WORDS[connection.dialect.name]).split(";"):
        connection.exec_driver_sql(statement)
    create_waiting_triggers(connection)
