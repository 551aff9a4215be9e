"""`lienthong db backup` and `lienthong db verify`: copies the whole journal, and checks a journal for damage."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import sqlalchemy as sa

from hub.cli.screen import FAILED, CommandStop, Screen, command, exit_command, pass_screen, progress_bar, t


@command(
    "backup",
    "Sao lưu nhật ký SQLite ra một TỆP mới trong khi trục chạy, rồi kiểm tra bản sao: cấu trúc tệp, chuỗi băm, byte của từng thông điệp.\n\n"
    "Với PostgreSQL hãy dùng pg_dump.",
    "Back up the SQLite journal to a new FILE while the hub runs, then verify the copy: the file's structure, "
    "the hash chain, the bytes of each message.\n\nFor PostgreSQL use pg_dump.",
    "lienthong db backup /sao-luu/hub-2026-11-24.db",
)
@click.argument("file", metavar=t("TỆP", "FILE"), type=click.Path(dir_okay=False, path_type=Path))
@pass_screen
def backup(screen: Screen, file: Path) -> None:
    from hub.cli.journal import read_journal_config
    from hub.domain import translations
    from hub.journal import backup as copying

    config = read_journal_config(screen)
    if not config.database_url.startswith("sqlite"):
        raise CommandStop(
            "chỉ sao lưu được SQLite; với PostgreSQL hãy dùng pg_dump", "only SQLite; for PostgreSQL use pg_dump"
        )
    try:
        with progress_bar(t("Sao chép", "Copying")) as tell:
            new = copying.copy_journal(Path(config.database_url.removeprefix("sqlite:///")), file, tell)
        # the store's engine would switch the copy to WAL, which makes two files
        engine = sa.create_engine(f"sqlite:///{new}", poolclass=sa.NullPool)
        try:
            with engine.connect() as tx:
                problems = list(_problems(tx))
                fields = _state(tx)
        finally:
            engine.dispose()
        if problems:
            raise CommandStop(
                f"nhật ký bị hỏng, không giữ bản sao: {translations.find_vietnamese(problems[0]) or problems[0]}",
                f"the journal is damaged, no copy kept: {problems[0]}",
            )
        copying.name_backup(new, file)
    except FileExistsError:
        raise CommandStop(f"đã có {file}", f"{file} already exists") from None
    except OSError as error:
        raise CommandStop(f"{file}: {error.strerror}", f"{file}: {error.strerror}") from error
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        raise CommandStop(f"{file}: {error}", f"{file}: {error}") from error
    finally:
        for left in file.parent.glob(f".{file.name}.new*"):
            left.unlink()
    octets = file.stat().st_size
    screen.row(
        {"file": str(file), "octets": octets, **fields},
        t(
            f"{file}: {octets} byte, {fields['messages']} thông điệp, đến {fields['last']}; đã kiểm tra.",
            f"{file}: {octets} octets, {fields['messages']} messages, up to {fields['last']}; verified.",
        ),
    )


@command(
    "verify",
    "Kiểm tra toàn bộ nhật ký: cấu trúc tệp (SQLite), chuỗi băm, byte của từng thông điệp. Mã thoát 1 nếu có hỏng. Lệnh đọc toàn bộ dữ liệu.",
    "Check the whole journal: the file's structure (SQLite), the hash chain, the bytes of each message. "
    "Exits 1 if anything is damaged. The command reads all data.",
    "lienthong db verify",
)
@pass_screen
def verify_journal(screen: Screen) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.domain import translations
    from hub.store import transactions

    count, fields = 0, {}
    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        for problem in _problems(tx):
            count += 1
            screen.row(
                {"kind": "damage", "problem": problem}, t(translations.find_vietnamese(problem) or problem, problem)
            )
        if not count:
            fields = _state(tx)
    if count:
        exit_command(FAILED)
    screen.row(
        {"kind": "ok", **fields},
        t(
            f"Nguyên vẹn: {fields['messages']} thông điệp, {fields['number']} sự kiện trong chuỗi, đến {fields['last']}.",
            f"Undamaged: {fields['messages']} messages, {fields['number']} events in the chain, up to "
            f"{fields['last']}.",
        ),
    )
    if left := fields["facts_outstanding"]:
        screen.note(
            f"Còn {left} kết quả của thông điệp đã nhận chưa ghi xong: trục đang chạy sẽ ghi tiếp.",
            f"{left} facts of accepted messages are not written yet. A running hub will write them.",
        )


def _problems(tx: sa.Connection) -> Iterator[str]:
    """Yield each kind of damage found. Show a progress bar over the octets of the messages."""
    from hub.journal import integrity
    from hub.store import transactions
    from hub.store.tables import content

    found = integrity.find_file_damage(tx)
    yield from found
    if found:
        return  # the later checks would read damaged pages
    try:
        yield from integrity.find_chain_damage(tx)
        total = int(tx.scalar(sa.select(sa.func.sum(sa.func.length(content.c.octets)))) or 0)
        with progress_bar(t("Kiểm tra", "Verifying")) as tell:
            yield from integrity.find_content_damage(tx, _of(tell, total))
    except sa.exc.DBAPIError as error:
        if not transactions.is_damage_error(error):
            raise
        yield str(error.orig)


def _of(tell: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    return lambda done: tell(done, total)


def _state(tx: sa.Connection) -> dict[str, object]:
    """Return the number of messages, the chain's head, the time of the last event, and the number of facts left."""
    from hub.journal import duties, events
    from hub.store.tables import message

    number, head = events.read_chain_head(tx)
    messages = tx.scalar(sa.select(sa.func.count()).select_from(message))
    outstanding = duties.read_outstanding_duties(tx).facts
    said = {"messages": messages, "number": number, "hash": head, "last": events.read_last_event_time(tx)}
    return {**said, "facts_outstanding": outstanding}
