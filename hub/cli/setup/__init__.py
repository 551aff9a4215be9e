"""Commands for the directory of a hub: write it, check it, take in its first certificate, reload it."""
