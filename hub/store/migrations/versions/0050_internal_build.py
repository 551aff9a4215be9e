"""The schema of the internal build 2026.11.0: the earliest one that this program upgrades. No journal is made with it."""

revision = "0050"
down_revision = None
branch_labels = None
depends_on = None
part = "after"
