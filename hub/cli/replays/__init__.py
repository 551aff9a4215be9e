"""`lienthong replay`, `replays` and `give-up`: what is sent again, by which plan, and what no longer is."""
