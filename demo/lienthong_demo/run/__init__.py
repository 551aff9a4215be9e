"""Starts, drives and stops the processes of a demo run."""
