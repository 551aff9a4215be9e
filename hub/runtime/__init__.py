"""Plumbing under Twisted: HTTP client, threads, timers, ports, disk space, pid file, logs."""
