"""The commands that show how the exchange runs, and change nothing: `status`, `events`, `links`."""
