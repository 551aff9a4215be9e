"""Fuzz one target in this process: `python -m tests.fuzz.run TARGET [libFuzzer's options and folders]`.  Ends the process.

Started by `python -m tests.fuzz` and by the tests, which read what libFuzzer prints.
"""

import sys
import warnings

import atheris

from tests.fuzz import told

COUNTERS = 1 << 13


def main() -> None:
    target = sys.argv.pop(1)
    with atheris.instrument_imports(include=["hub", "adapters"]), warnings.catch_warnings():
        from tests.fuzz import load

        module = load(target)
    counters = [atheris._reserve_counter() for _ in range(COUNTERS)]
    told.LISTENERS.append(lambda number: atheris._trace_branch(counters[number % COUNTERS]))
    known = {"custom_mutator": getattr(module, "change", None), "custom_crossover": getattr(module, "cross", None)}
    arguments = [*sys.argv, f"-max_len={module.LONGEST}"]
    atheris.Setup(arguments, module.judge, **{name: given for name, given in known.items() if given})
    atheris.Fuzz()


if __name__ == "__main__":
    main()
