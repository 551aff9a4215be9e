"""Migrations of a next release: one that adds a column, and one that takes it away again.

They lie in a folder of their own beside the program's, or in the program of the next release.
"""

import os
from pathlib import Path

import pytest

from hub.store import transactions

_TEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {version!r}, {after!r}, None, None
part = {part!r}


def upgrade():
    {does}
"""
#: Their versions.
ADDS, REMOVES = "9001", "9002"


def write_migrations(folder: Path, *, removes: bool = True) -> None:
    """Write the one that adds into *folder*, and with *removes* the other one."""
    adds = "op.add_column('message', sa.Column('later', sa.Text))"
    takes = "op.drop_column('message', 'later')"
    latest = transactions.read_latest_version()
    steps = [(ADDS, latest, "before", adds), (REMOVES, ADDS, "after", takes)]
    for version, after, part, does in steps if removes else steps[:1]:
        text = _TEXT.format(version=version, after=after, part=part, does=does)
        (folder / f"{version}_next.py").write_text(text)


def become_next_release(monkeypatch: pytest.MonkeyPatch, folder: Path, *, removes: bool) -> None:
    """Let this process have the migrations of the next release. Write no new journal then: its tables are those of today."""
    folder.mkdir()
    write_migrations(folder, removes=removes)
    config = transactions._make_alembic_config()
    own = Path(str(config.get_main_option("script_location"))) / "versions"
    config.set_main_option("version_locations", f"{own}{os.pathsep}{folder}")
    monkeypatch.setattr(transactions, "_make_alembic_config", lambda: config)
    latest, known = transactions.read_latest_version.__wrapped__(), transactions.list_migrations.__wrapped__()
    monkeypatch.setattr(transactions, "read_latest_version", lambda: latest)
    monkeypatch.setattr(transactions, "list_migrations", lambda: known)
