"""An inspector's drill: known messages under test units, what the hub's reports must then say, and the signed protocol.

`drawing` draws a plan from a seed, `writing` writes its messages, `sending` sends them through the front door,
`expecting` counts by an arithmetic of its own, `comparing` finds the differences, `protocol` keeps all of it as evidence.
Nothing here uses the code by which the hub counts.
"""
