"""Examines an installation: program, machine, configuration, database, the hub that runs. Changes nothing."""
