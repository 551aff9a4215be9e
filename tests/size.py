"""Counts the code of the hub and the adapters: `./dev size`; `--json` for machines.

A line of code has a token that is neither a comment nor part of a docstring. Knows sources alone: nothing is imported.
"""

import ast
import io
import json
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median

import attrs

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hub", "adapters")
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
    """One file of Python."""

    name: str  #: dotted
    text: str
    tree: ast.Module

    @property
    def functions(self) -> list[_Function]:
        return [each for each in ast.walk(self.tree) if isinstance(each, _Function)]


def read_sources(root: Path, packages: Iterable[str] = PACKAGES) -> list[Source]:
    """Return every file of *packages* below *root*."""
    found = []
    for path in sorted(each for package in packages for each in (root / package).rglob("*.py")):
        name, text = ".".join(path.relative_to(root).with_suffix("").parts), path.read_text()
        found.append(Source(name.removesuffix(".__init__"), text, ast.parse(text)))
    return found


def count_code_lines(source: Source) -> int:
    """Return the number of lines of *source* with code in them."""
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Module | ast.ClassDef | _Function) and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def count_inner_imports(source: Source) -> int:
    """Return how many import statements of *source* stand in a function."""
    inner = {
        id(node)
        for function in source.functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return len(inner)


def list_imports(source: Source, modules: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each module of *modules* that *source* imports, with the name that it takes of it, wherever the import stands.

    Imports for types alone (`TYPE_CHECKING`) are left out.
    """
    known = frozenset(modules)
    typed = {
        id(each)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for each in ast.walk(node)
    }
    for node in ast.walk(source.tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner, ""
                elif node.module in known:
                    yield node.module, alias.name


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
    taken = {each.name: list(list_imports(each, names)) for each in sources}
    graph = {name: {module for module, _ in some} - {name} for name, some in taken.items()}
    lines = {each.name: count_code_lines(each) for each in sources}
    rooms = Counter[str]()
    for name, count in lines.items():
        rooms[".".join(name.split(".")[:2]) if name.startswith("hub.") else name.split(".", 1)[0]] += count
    functions = [(each.name, function) for each in sources for function in each.functions]
    lengths = [(function.end_lineno or 0) - function.lineno + 1 for _, function in functions]
    own = [function.name.strip("_") for _, function in functions if not function.name.startswith("__")]
    of_console = defaultdict[str, set[tuple[str, str]]](set)
    for name, some in taken.items():
        face = ".".join(name.split(".")[:2])
        if face in {"hub.cli", "hub.api"}:
            of_console[face] |= {pair for pair in some if pair[0].startswith("hub.console")}
    return {
        "code lines": sum(lines.values()),
        "files": len(sources),
        "functions": len(functions),
        "median lines of a function": median(lengths),
        f"functions over {LONG_FUNCTION} lines": sum(each > LONG_FUNCTION for each in lengths),
        "functions named by one word, %": round(100 * sum("_" not in each for each in own) / len(own)),
        f"files over {LONG_FILE} lines": sum(each.text.count("\n") > LONG_FILE for each in sources),
        "imports inside functions": sum(map(count_inner_imports, sources)),
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
    sys.setrecursionlimit(5000)
    main()
