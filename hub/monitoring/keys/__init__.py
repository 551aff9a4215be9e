"""The hub's and the partners' certificates in use: what was seen of them, and what a new one would break."""
