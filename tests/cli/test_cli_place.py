"""Root's commands run under the hub's account: a file that this account cannot reach is not said to be missing only."""

import os
import subprocess
import sys
from pathlib import Path

NOBODY = 65534


def test_a_folder_that_the_account_cannot_enter_is_named_as_the_reason(tmp_path: Path) -> None:
    """As when root types a command in /root, and the package lets it run under the account of the hub."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "answers.toml").touch()
    environment = {"LANG": "en_US.UTF-8", "HOME": "/var/lib/lienthong", "PYTHONPATH": os.pathsep.join(sys.path)}

    def close() -> None:  # the folder is entered first, as the shell of root does
        folder.chmod(0)
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)

    command = [sys.executable, "-m", "hub.cli", "init", "/x", "--production", "--answers", "answers.toml"]
    done = subprocess.run(
        command, cwd=folder, env=environment, preexec_fn=close, capture_output=True, text=True, check=False
    )
    folder.chmod(0o700)
    assert done.returncode == 2, done.stderr
    assert "cannot enter this folder: change to one that it can, such as /var/lib/lienthong" in done.stderr
