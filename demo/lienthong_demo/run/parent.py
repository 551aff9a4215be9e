"""Stops a process when its parent process ends. Knows prctl of Linux; on other systems it does nothing."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Ask Linux to send this process the signal *number* when its parent has ended, for whatever reason."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(number))


def bind_to_parent(parent: int) -> None:
    """Do the same in a forked process. End at once if *parent*, a process id, has already ended."""
    end_with_parent()
    if os.getppid() != parent:
        os._exit(1)
