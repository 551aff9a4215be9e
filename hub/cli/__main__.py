"""`python -m hub.cli`: the command line where the script `lienthong` is not on the path."""

from hub.cli import main

main()
