"""The commands of `hub/cli/db`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.screen import EXISTING_FILE, command, command_group, t
from hub.language.phrases import phrase

backup = command(
    "backup",
    t(
        "Back up the SQLite journal to a new FILE while the hub runs, then verify the copy: the file's "
        "structure, the hash chain, the bytes of each message.\n\nFor PostgreSQL use pg_dump."
    ),
    "lienthong db backup /sao-luu/hub-2026-11-24.db",
    runs="hub.cli.db.backup:backup",
    options=(click.argument("file", metavar=t("FILE"), type=click.Path(dir_okay=False, path_type=Path)),),
)

verify_journal = command(
    "verify",
    t(
        "Check the whole journal: the file's structure (SQLite), the hash chain and its end, the bytes of each message, "
        "closed months against what the hub's key attests, a drawn part of the facts against their events, and the "
        "numbers of waiting deliveries that the database keeps. Exits 1 if anything is damaged, edited or counted wrong. "
        "The command reads all data.\n\n--facts compares all facts; interrupted, it says how to go on."
    ),
    "lienthong db verify",
    "lienthong db verify --facts",
    runs="hub.cli.db.backup:verify_journal",
    options=(
        click.option(
            "--facts", "whole", is_flag=True, help=t("Compare all facts with their events, not a drawn part.")
        ),
        click.option("--after", default="", metavar="PLACE", help=t("With --facts: go on where it was interrupted.")),
    ),
)

recount_waiting = command(
    "recount",
    t(
        "Count the waiting deliveries anew, by partner and state, where the numbers that the database keeps for metrics, "
        "alerts and pages are wrong. `lienthong db verify` tells whether one is. The hub may run meanwhile; with a million "
        "waiting deliveries its intake waits some seconds."
    ),
    "lienthong db recount",
    runs="hub.cli.db.backup:recount_waiting",
)


make_key = command(
    "make-key",
    t(
        "Make a key pair: the private key into the new FILE, the public key on the screen, for `recipients` in "
        "[backup]. Do this on another machine than the hub, and keep FILE there, twice. Without it no backup can be "
        "read. It needs no hub; `age-keygen` makes the same."
    ),
    "lienthong backup make-key khoa-sao-luu.txt",
    runs="hub.cli.db.backups:make_key",
    options=(click.argument("file", metavar=t("FILE"), type=click.Path(dir_okay=False, path_type=Path)),),
)

run_backup_now = command(
    "run",
    t(
        "Make a backup now, while the hub runs or not, and try it: it is decrypted, restored into a folder of its "
        "own and checked whole. Only a backup that was tried is kept, and only then older ones are removed.\n\n"
        "Exits 1 if there is no new backup, and says why."
    ),
    "lienthong backup run",
    runs="hub.cli.db.backups:run_backup_now",
)

list_made_backups = command(
    "list",
    t(
        "The backups in the folder, the oldest first; and why the last one failed, if it did. Needs no private key. "
        "Exits 4 if there is none."
    ),
    "lienthong backup list --json",
    runs="hub.cli.db.backups:list_made_backups",
)

_identity = click.option(
    "--identity",
    metavar=t("FILE"),
    type=EXISTING_FILE,
    help=t("The file with the private key, as `age-keygen` writes it."),
)

_signer = click.option(
    "--signer",
    metavar=t("FILE"),
    type=EXISTING_FILE,
    help=t("The certificate (PEM) of the hub that made the backup; default: pki.certificate of hub.toml."),
)

_file = click.argument("file", metavar=t("FILE"), type=EXISTING_FILE)

verify_backup = command(
    "verify",
    t(
        "Verify a backup. With the private key it is decrypted, restored into a folder of its own and checked whole, "
        "as at the trial; without it, the file is compared with the one that was tried.\n\nDo this now and then on "
        "another machine: it shows that the private key is still there. Exits 1 if the backup is not good."
    ),
    "lienthong backup verify /sao-luu/lienthong-H55-20261129T010000Z.tar.gz.age --identity khoa.txt",
    "lienthong backup verify FILE --identity khoa.txt --signer hub.crt",
    runs="hub.cli.db.backups:verify_backup",
    options=(_file, _identity, _signer),
)

restore_backup = command(
    "restore",
    t(
        "Restore the journal of a backup, for the hub of hub.toml, which must be stopped. The backup is verified "
        "whole first; files that are in the place of the journal are renamed, never overwritten.\n\nOn a new machine, "
        "--configuration-to writes the configuration of the backup into an empty folder first. If keys are missing "
        "there, put them in their places and restore the journal by a second command, which is printed.\n\nMessages "
        "received after the moment of the backup are not in it: docs/howto/back-up.md says what to do."
    ),
    "lienthong backup restore /sao-luu/lienthong-H55-20261129T010000Z.tar.gz.age --identity khoa.txt",
    "lienthong backup restore FILE --identity khoa.txt --signer hub.crt --configuration-to /etc/lienthong",
    runs="hub.cli.db.backups:restore_backup",
    options=(
        _file,
        _identity,
        _signer,
        click.option(
            "--configuration-to",
            "home",
            metavar=t("DIR"),
            type=click.Path(file_okay=False, path_type=Path),
            help=t("An empty or new folder for the configuration of the backup."),
        ),
        click.option("--reason", default="", help=t("Why; it is recorded.")),
    ),
)


COMMANDS = {
    "backup": (
        "hub.cli.db.commands:backup",
        phrase("Back up the SQLite journal while the hub runs"),
    ),
    "verify": ("hub.cli.db.commands:verify_journal", phrase("Check the whole journal for damage")),
    "recount": ("hub.cli.db.commands:recount_waiting", phrase("Count the waiting deliveries anew")),
    "move": (
        "hub.cli.db.commands:move_journal",
        phrase("Move the journal from SQLite to PostgreSQL"),
    ),
}

show_database_status = command(
    "status",
    t("Compare the database's version with the one this program needs. Exits 1 if the program cannot run on it."),
    "lienthong db status --json",
    runs="hub.cli.db.db:show_database_status",
)

upgrade_hub_database = command(
    "upgrade",
    t(
        "Upgrade the journal to the version this program needs, or create it. The upgrade is rehearsed on a "
        "copy first, and it is not committed if it would change a message, a delivery, a fact or the chain of "
        "events. Refused while nodes of the old version run, except with --before.\n\n"
        "The way back: if the older program runs on the new version too, start it again. If not, the copy of "
        "before the upgrade is kept, and --undo puts it back, as long as no message has come since."
    ),
    "lienthong db upgrade --rehearse",
    "lienthong db upgrade",
    "lienthong db upgrade --before",
    "lienthong db upgrade --undo",
    runs="hub.cli.db.db:upgrade_hub_database",
    options=(
        click.option(
            "--before",
            "part",
            flag_value="before",
            help=t("Only the part with which nodes of the old version still run."),
        ),
        click.option(
            "--after",
            "part",
            flag_value="after",
            help=t("The rest, once no node of the old version is left."),
        ),
        click.option("--rehearse", is_flag=True, help=t("Only try it on a copy, and say how long it takes.")),
        click.option("--no-copy", is_flag=True, help=t("Make no copy: no rehearsal, and no way back but a backup.")),
        click.option(
            "--undo", is_flag=True, help=t("Put the copy of before the upgrade back. The hub must be stopped.")
        ),
        click.option("--yes", is_flag=True, help=t("With --undo: give up what happened since, but for messages.")),
    ),
)

list_hub_nodes = command(
    "nodes",
    t("The nodes that share the journal: alive, lapsed, stopped; how many deliveries each is sending."),
    "lienthong db nodes --json",
    runs="hub.cli.db.db:list_hub_nodes",
)

db = command_group(
    "db",
    t("The journal's database: its version, upgrade, backup, verification, and the move to PostgreSQL."),
    table=COMMANDS,
    commands=(show_database_status, upgrade_hub_database, list_hub_nodes),
)


move_journal = command(
    "move",
    t(
        "Move the journal from SQLite into an empty PostgreSQL database, including waiting deliveries. "
        "Prints the plan; --yes runs it.\n\nThe hub must be stopped. If the command is interrupted, run "
        "it again: tables already moved and verified are not moved again. Each table is compared by the "
        "number and the digest of all its rows, and the events by their hash chain. At the end the "
        "source is marked as moved."
    ),
    "lienthong db move --to postgresql://lienthong@db.example/lienthong --password-file /etc/lienthong/db-password",
    "lienthong db move --to postgresql://lienthong@/lienthong --yes",
    runs="hub.cli.db.move:move_journal",
    options=(
        click.option("--to", "to", metavar="URL", required=True, help=t("The target: postgresql://…")),
        click.option(
            "--password-file",
            metavar=t("FILE"),
            type=EXISTING_FILE,
            help=t("A file that contains only the password for PostgreSQL."),
        ),
        click.option("--yes", is_flag=True, help=t("Run the plan.")),
    ),
)


adopt_journal = command(
    "adopt",
    t(
        "Say that the journal was put back to an earlier moment by other tools, such as PostgreSQL's recovery to a "
        "moment, and that the hub shall go on with it. An era begins, and the receipts that the journal lacks are "
        "recorded as far as this node has seen them.\n\nPrints the plan; --yes runs it. The hub must be stopped, on "
        "every node. `backup restore` does the same by itself."
    ),
    'lienthong backup adopt --reason "khôi phục đến 10 giờ sau khi hỏng đĩa"',
    'lienthong backup adopt --reason "khôi phục đến 10 giờ sau khi hỏng đĩa" --yes',
    runs="hub.cli.db.restored:adopt_journal",
    options=(
        click.option("--reason", required=True, help=t("Why; it is recorded.")),
        click.option("--yes", is_flag=True, help=t("Run the plan.")),
    ),
)

list_lost = command(
    "lost",
    t(
        "The receipts that the hub gave and that the journal lacks since it was put back, and whether the message has "
        "come again."
    ),
    "lienthong backup lost --awaited",
    runs="hub.cli.db.restored:list_lost",
    options=(
        click.option("--awaited", is_flag=True, help=t("Only those that have not come again.")),
        click.option("--partner", metavar=t("CODE"), help=t("Only those of this partner.")),
    ),
)

write_letters = command(
    "letters",
    t(
        "Write into the new folder DIR a letter to each partner that asks it to send again what the journal lacks: "
        "CODE.txt, and CODE.csv with the message ids that are known. Nothing is sent."
    ),
    "lienthong backup letters thu-de-nghi",
    runs="hub.cli.db.restored:write_letters",
    options=(click.argument("folder", metavar=t("DIR"), type=click.Path(file_okay=False, path_type=Path)),),
)

manage_backups = command_group(
    "backup",
    t(
        "Backups of the hub: its journal and, by choice, its configuration and keys; encrypted to public keys "
        "(age), signed by the hub, each tried by restoring it. `[backup]` in hub.toml says where and when; "
        "docs/howto/back-up.md says how."
    ),
    "lienthong backup run",
    "lienthong backup list",
    "lienthong backup restore /sao-luu/lienthong-H55-20261129T010000Z.tar.gz.age --identity khoa.txt",
    commands=(
        make_key,
        run_backup_now,
        list_made_backups,
        verify_backup,
        restore_backup,
        adopt_journal,
        list_lost,
        write_letters,
    ),
)
