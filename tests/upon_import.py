"""Changes modules as soon as a test imports them, and imports none itself: a run of one file imports what that file needs."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Step = Callable[[Any], object]


class _ChangingLoader(Loader):
    """Executes a module as its own *loader* does, which several may share; then calls the *steps* that await it."""

    def __init__(self, loader: Loader, steps: Sequence[Step]) -> None:
        self._loader, self._steps = loader, steps

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for step in self._steps:
            step(module)


class _Finder(MetaPathFinder):
    """Finds each awaited module where the other finders do."""

    def __init__(self) -> None:
        self.awaited: dict[str, list[Step]] = {}

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        steps = self.awaited.pop(fullname, None)
        spec = importlib.util.find_spec(fullname) if steps else None
        if spec is not None and spec.loader is not None:
            spec.loader = _ChangingLoader(spec.loader, steps or ())
        return spec


_FINDER = _Finder()
sys.meta_path.insert(0, _FINDER)


def change_upon_import(name: str, step: Step) -> None:
    """Call *step* with the module *name* as soon as it has been imported: at once if it has been already."""
    if name in sys.modules:
        step(sys.modules[name])
    else:
        _FINDER.awaited.setdefault(name, []).append(step)
