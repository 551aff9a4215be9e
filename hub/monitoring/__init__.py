"""Probes links and receives syslog, and stores the state of the links."""
