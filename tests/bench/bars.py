"""What the hub must reach beside its alternatives: each row with its bar, its aim and what it was before. Measures nothing."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class Bar:
    """One ratio, or one figure, and how far it must come."""

    key: str
    row: str
    bar: float
    aim: float | None
    was: str  #: before the work on speed began
    greater: bool = True  #: whether more is better

    def is_reached(self, value: float) -> bool:
        """Tell whether *value* reaches the bar."""
        return value >= self.bar if self.greater else value <= self.bar

    def describe(self, value: float | None) -> str:
        """Return the row as text. None: it was not measured."""
        sign = ">=" if self.greater else "<="
        aim = "" if self.aim is None else f"aim {sign} {self.aim:g}"
        said = (
            "     -  not measured"
            if value is None
            else f"{value:6.2f}  {'reached' if self.is_reached(value) else 'missed'}"
        )
        return f"  {self.row:76} {said:20} bar {sign} {self.bar:<5g} {aim:12} was {self.was}"


BARS = (
    Bar(
        "cpu:limit",
        "CPU of a 4 KB message, one process, ECDSA, kept mutual TLS : the C limit",
        5,
        3,
        "33",
        greater=False,
    ),
    Bar("rate:flask", "rate, 4 KB, 64 connections, one process : Flask + signxml", 2, 3, "0.29"),
    Bar("best:flask", "rate, the same, best structure on two cores : Flask + signxml", 3, 5, "0.29"),
    Bar("best:wss4j", "rate, the same : WSS4J", 1.6, 3, "0.16"),
    Bar("best:jdk", "rate, the same : JDK dsig", 1.2, 2.2, "0.12"),
    Bar("p99:jdk", "p99 at 64 connections : JDK dsig", 1.5, 0.7, "7", greater=False),
    Bar("64k:flask", "rate, 64 KB, 16 connections : Flask + signxml", 2, 3, "0.4"),
    Bar("1m:flask", "rate, 1 MB, 4 connections : Flask + signxml", 1.2, 2, "0.78"),
    Bar("20m:flask", "CPU of a 20 MB message, inline : Flask + signxml", 0.67, 0.4, "0.67", greater=False),
    Bar("20m:inline", "MiB above idle of a 20 MB message, inline", 6, None, "2 to 6", greater=False),
    Bar("20m:mtom", "MiB above idle of a 20 MB message, MTOM", 6, None, "2 to 6", greater=False),
    Bar("delivery", "rate, accepted, delivered and counted, fast partner : intake alone", 0.6, 0.75, "0.6"),
    Bar(
        "growth:intake",
        "rate of intake at 5 million in the journal, a month being closed : at 10 thousand",
        0.9,
        1,
        "0.5",
    ),
    Bar("growth:claim", "speed of a claim at 5 million, the same : at 10 thousand", 0.9, 1, "-"),
    Bar("growth:search", "speed of a search by unit at 5 million, the same : at 10 thousand", 0.9, 1, "0.1"),
    Bar(
        "growth:glance",
        "ms of the page of 989 units and 12 months at a glance, at 10 million facts",
        300,
        None,
        "-",
        greater=False,
    ),
    Bar(
        "facts",
        "seconds until the facts behind the province's number, a million messages",
        1,
        None,
        "25",
        greater=False,
    ),
    Bar("workbook", "seconds for the province's workbook, a million messages", 10, None, "56", greater=False),
    Bar("nodes", "CPU of a message with the database's, two nodes on PostgreSQL : one", 1.15, 1.05, "-", greater=False),
)


def describe_bars(values: Mapping[str, float]) -> list[str]:
    """Return every row with its measured value."""
    return [bar.describe(values.get(bar.key)) for bar in BARS]
