"""A hub that hostile partners keep busy while honest ones go on: what is sent, who sends it, and what the honest ones get.

Knows the outside contract only.  `./dev bench attacks` measures it for a minute each, `./dev test` for some seconds each.
"""
