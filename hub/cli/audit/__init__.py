"""`lienthong audit`, `evidence`, `verify` and `archive`: an inspector's drill, evidence that is checked without a hub, archives."""
