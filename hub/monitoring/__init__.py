"""Probes links and hears syslog, and keeps how the links stand."""
