"""Writes the workbooks of this folder anew, as other software makes them:  python -m tests.report.workbooks

openpyxl writes `.xlsx`; LibreOffice calculates and saves as `.xls` and `.xlsx`.
"""

import sys
from pathlib import Path

from tests.report.workbooks import HERE, MADE, convert

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, make in MADE.items():
        for kind in ("xls", "xlsx"):
            (folder / f"{name}.{kind}").write_bytes(convert(make(), kind))
