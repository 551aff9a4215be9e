"""A program that tells what it is, for `tests/test_warm.py`."""

import os
import sys

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["who"]:
            print(os.getpid(), os.getsid(0), os.getcwd(), os.environ.get("SAID"), sep="\n")  # noqa: T201, PTH109
        case ["cat"]:
            sys.stdout.write(sys.stdin.read())
        case ["exit", code]:
            sys.exit(int(code))
        case ["say"]:
            sys.exit("no")
        case _:
            raise ZeroDivisionError
