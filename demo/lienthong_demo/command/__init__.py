"""`lienthong demo`: sets up and plays the sample province as an operator would, and compares the results."""
