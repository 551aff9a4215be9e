"""Runs the hub as one service: wiring, checks, dry run, clocks, heartbeat, admin port."""
