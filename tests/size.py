"""Counts the code of the hub, the adapters and the sample partners: `./dev size`; `--json` for machines.

A line of code has a token that is neither a comment nor part of a docstring. Knows sources alone: nothing is imported.
"""

import ast
import io
import json
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import attrs

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hub", "adapters", "demo/lienthong_demo")
#: The package that is in a wheel of its own.
OUTSIDE = "lienthong_demo"
LONG_FILE, LONG_FUNCTION = 500, 50

_NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Source:
    """What is counted of one file of Python."""

    name: str  #: dotted
    lines: int  #: of the file
    code: int  #: lines with code in them
    functions: tuple[tuple[str, int], ...]  #: name and lines of each
    inner: int  #: import statements that stand in a function
    taken: tuple[tuple[str, str], ...]  #: module and name of each import but those for types alone


def read_sources(root: Path, packages: Iterable[str] = PACKAGES) -> list[Source]:
    """Return every file of *packages* below *root*."""
    found = list[Source]()
    for package in packages:
        for each in sorted((root / package).rglob("*.py")):
            parts = each.relative_to((root / package).parent).with_suffix("").parts
            found.append(read_source(".".join(parts).removesuffix(".__init__"), each.read_text()))
    return found


def read_source(name: str, text: str) -> Source:
    """Return what is counted of the file *text*."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    functions = [each for each in nodes if isinstance(each, _Function)]
    imports = [each for each in nodes if isinstance(each, ast.Import | ast.ImportFrom)]
    typed = [each for each in nodes if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"]
    return Source(
        name,
        text.count("\n"),
        _count_code_lines(text, nodes),
        tuple((each.name, _end(each) - each.lineno + 1) for each in functions),
        sum(_is_within(each, functions) for each in imports),
        tuple(_list_names([each for each in imports if not _is_within(each, typed)])),
    )


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _is_within(node: ast.stmt, others: Sequence[ast.stmt]) -> bool:
    return any(other.lineno <= node.lineno <= _end(other) for other in others)


def _count_code_lines(text: str, nodes: Sequence[ast.AST]) -> int:
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | _Function) and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, _end(node.body[0]) + 1))
    return len(lines)


def _list_names(imports: Iterable[ast.Import | ast.ImportFrom]) -> Iterator[tuple[str, str]]:
    for node in imports:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def list_taken(source: Source, modules: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each of *modules* that *source* imports, with the name that it takes of it; "": the whole module."""
    for module, name in source.taken:
        if f"{module}.{name}" in modules:
            yield f"{module}.{name}", ""
        elif module in modules:
            yield module, name


def find_circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes of *graph* that reach one another (Tarjan's strongly connected components)."""
    order, low, path, found = dict[str, int](), dict[str, int](), list[str](), list[list[str]]()

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        path.append(node)
        for other in graph.get(node, ()):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in path:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            group = path[path.index(node) :]
            del path[path.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def find_mutual_folders(graph: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Return the pairs of names beside each other, in the same package, that import each other."""
    ways = set[tuple[str, str]]()
    for name, others in graph.items():
        for other in others:
            mine, theirs = name.split("."), other.split(".")
            same = next((at for at, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
            if same and same > 1:
                ways.add((".".join(mine[: same + 1]), ".".join(theirs[: same + 1])))
    return sorted((a, b) for a, b in ways if a < b and (b, a) in ways)


def measure(sources: list[Source]) -> dict[str, object]:
    """Return what is counted of *sources*, by what it is called."""
    names = {each.name for each in sources}
    taken = {each.name: list(list_taken(each, names)) for each in sources}
    graph = {name: {module for module, _ in some} - {name} for name, some in taken.items()}
    rooms = Counter[str]()
    for each in sources:
        rooms[".".join(each.name.split(".")[: 2 if each.name.startswith("hub.") else 1])] += each.code
    functions = [function for each in sources for function in each.functions]
    lengths = [length for _, length in functions]
    own = [name.strip("_") for name, _ in functions if not name.startswith("__")]
    of_console = defaultdict[str, set[tuple[str, str]]](set)
    for name, some in taken.items():
        face = ".".join(name.split(".")[:2])
        if face in {"hub.cli", "hub.api"}:
            of_console[face] |= {pair for pair in some if pair[0].startswith("hub.console")}
    return {
        "code lines": sum(each.code for each in sources),
        "code lines in the wheel of a node": sum(each.code for each in sources if not each.name.startswith(OUTSIDE)),
        "files": len(sources),
        "functions": len(functions),
        "median lines of a function": median(lengths),
        f"functions over {LONG_FUNCTION} lines": sum(each > LONG_FUNCTION for each in lengths),
        "functions named by one word, %": round(100 * sum("_" not in each for each in own) / len(own)),
        f"files over {LONG_FILE} lines": sum(each.lines > LONG_FILE for each in sources),
        "imports inside functions": sum(each.inner for each in sources),
        "circles of files": len(find_circles(graph)),
        "pairs of names beside each other that import each other": len(find_mutual_folders(graph)),
        **{f"names that {face} takes of hub.console": len(of_console[face]) for face in ("hub.api", "hub.cli")},
        "code lines of each package": dict(rooms.most_common()),
    }


def main() -> None:
    """Print what is counted of the project, or of the folder that is given."""
    words = [each for each in sys.argv[1:] if each != "--json"]
    found = measure(read_sources(Path(words[0]) if words else ROOT))
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    rooms = found.pop("code lines of each package")
    assert isinstance(rooms, dict)
    for what, number in [*found.items(), *rooms.items()]:
        sys.stdout.write(f"{number:>9,}  {what}\n")


if __name__ == "__main__":
    main()
