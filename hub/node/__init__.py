"""The hub as one service: wiring, checks, clocks, heartbeat, admin port."""
