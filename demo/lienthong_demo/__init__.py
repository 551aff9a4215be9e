"""Sample partner systems in processes of their own, the code that drives and recounts them, and the command that plays them.

All but `command` imports nothing of the hub, so that the hub is not judged by its own code.
"""
