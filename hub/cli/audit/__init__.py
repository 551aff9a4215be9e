"""`lienthong audit`, `evidence` and `verify`: an inspector's drill, and evidence that is checked without a hub."""
