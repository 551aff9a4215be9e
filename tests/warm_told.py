"""A program that tells what it is, for `tests/test_warm.py`."""

import atexit
import os
import sys
import threading

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["who"]:
            print(os.getpid(), os.getsid(0), os.getcwd(), os.environ.get("SAID"), sep="\n")  # noqa: T201, PTH109
        case ["cat"]:
            sys.stdout.write(sys.stdin.read())
        case ["exit", code]:
            sys.exit(int(code))
        case ["last"]:
            threading.Timer(0.1, lambda: sys.stdout.write("thread ")).start()
            atexit.register(lambda: sys.stdout.write("exit"))
        case ["say"]:
            sys.exit("no")
        case _:
            raise ZeroDivisionError
