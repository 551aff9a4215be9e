"""Defines the hub's errors, one class for each party at fault, and the error codes with their sentences.

`Rejected` (the message) and `CallRefused` (the call around it) are faults of the sender. `Unready` is a passing fault
of the hub. `ConfigurationFault` is a fault of the operator. A fault of a partner is an `Outcome`, not an error. Every
other exception is a defect of the hub: it is logged, and the caller reads `hub-error`. Does not know which module
raises which code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from hub.domain.model import Detail, ElementPlace, Problem
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, SaidText, verbatim
from hub.language.tables import read_table

#: Code -> what is wrong and what to do, as `hub/language/errors.json` says. The keys `N.`, `R.`, `T.` and `M.` stand for codes that
#: consist of this prefix and a path.
SENTENCES: Mapping[str, Phrase] = {code: Phrase(text) for code, text in read_table("errors").items()}


def find_error_sentence(code: str) -> Phrase:
    """Return the sentence of *code*.

    A code with a path is found by its prefix. Raises KeyError for an unknown code.
    """
    return SENTENCES[code] if code in SENTENCES else SENTENCES[code[:2]]


def explain_refusal(refusal: str) -> list[tuple[str, Phrase | None]]:
    """Return the reasons of a refusal as the journal keeps them (`code: detail; …`), each with the sentence of its code.

    None stands beside a piece of a detail which contains the sign that separates the reasons.
    """
    found: list[tuple[str, Phrase | None]] = []
    for each in refusal.split("; "):
        try:
            found.append((each, find_error_sentence(each.partition(": ")[0])))
        except KeyError:
            found.append((each, None))
    return found


def describe_problem(problem: Problem, *languages: Language) -> str:
    """Return what a reader is told of *problem*: its sentence, then the detail.

    Both are in each of *languages*, in both for an answer whose reader is not known. A detail without words comes once,
    at the end.
    """
    sentence, detail = find_error_sentence(problem.code), problem.detail
    said = [f"{translate(sentence, language)}." for language in languages or Language]
    if isinstance(detail, Phrase | SaidText):
        details = [translate(detail, language) for language in languages or Language]
        return " / ".join(f"{one} [{other}]" for one, other in zip(said, details, strict=True))
    return " / ".join(said) + (f" [{detail}]" if detail else "")


def write_problem_json(problem: Problem) -> dict[str, object]:
    """Return *problem* for JSON and for the journal: `code`, `detail` in English, and what else is known of it.

    That is `detail_vi`, the detail in Vietnamese if it has words, and of an element `path`, `line`, `column` and `label`.
    """
    said: dict[str, object] = {"code": problem.code, "detail": str(problem.detail)}
    vietnamese = translate(problem.detail, Language.VI)
    if vietnamese != said["detail"]:
        said["detail_vi"] = vietnamese
    place = problem.place
    if place is not None:
        said |= {"path": place.path, "line": place.line}
        said |= {} if place.column is None else {"column": place.column}
        said |= {"label": place.label} if place.label else {}
    return said


def read_problem_json(fields: Mapping[str, Any]) -> Problem:
    """Return the problem that `write_problem_json` wrote, now or when it wrote only `code` and `detail`."""
    english = str(fields.get("detail") or "")
    detail = SaidText(english, str(fields["detail_vi"])) if fields.get("detail_vi") else english
    place = None
    if fields.get("path"):
        column, label = fields.get("column"), str(fields.get("label") or "")
        place = ElementPlace(str(fields["path"]), int(fields.get("line") or 0), column, label)
    return Problem(str(fields["code"]), detail, place)


def shorten_detail(detail: Detail, most: int) -> Detail:
    """Return *detail*, or the first *most* characters of its English text if that is longer."""
    said = str(detail)
    if len(said) <= most:
        return detail
    return said[:most] if isinstance(detail, str) else verbatim(said[:most])


def _rebuild_error(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an error that was pickled. Its constructor takes other arguments than those that it keeps."""
    return kind.__new__(kind, *args)


class Rejected(Exception):
    """The sender's fault: the message is refused and the answer lists every problem."""

    #: the `hub.journal.replay_guard.ReplayMark` of the signed call that is refused; None if no signature was verified
    mark: Any = None

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{problem.code}: {problem.detail}" for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_error, (type(self), self.args), vars(self)


class CallRefused(Rejected):
    """The sender's fault in the call itself: transport, security or contract.

    No message was judged. Becomes a SOAP Client fault.
    """


class Unready(Exception):
    """A passing fault of the hub: the caller may send the same call again.

    Becomes a SOAP Server fault with Retry-After.
    """

    def __init__(self, code: str, detail: Detail = "", retry_after: int = 5) -> None:
        super().__init__(f"{code}: {detail}")
        self.problem = Problem(code, detail)
        self.retry_after = retry_after  #: seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_error, (type(self), self.args), vars(self)


@attrs.frozen
class Mistake:
    """One mistake of a configuration: where it is, what is wrong, what is expected."""

    path: str
    wrong: Phrase
    expected: Phrase

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong} ({self.expected})"


def write_mistake_json(mistake: Mistake) -> dict[str, str]:
    """Return *mistake* for JSON and for logs, whose words are English whoever reads them."""
    return {"path": mistake.path, "wrong": str(mistake.wrong), "expected": str(mistake.expected)}


class ConfigurationFault(Exception):
    """The operator's fault. Carries all mistakes found, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)
