"""Runs the command line as `python -m hub.cli`, where the script `lienthong` is not on the path."""

from hub.cli import main

main()
