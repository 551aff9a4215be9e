"""Names the person who types a command. Contains no permissions.

Who may run a command on the hub's machine may read its database, so nothing is refused here.
"""

import os
import pwd


def name_person() -> str:
    """Return the name of the account that runs the process. The environment cannot change it."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a number that has no name
        return str(uid)
