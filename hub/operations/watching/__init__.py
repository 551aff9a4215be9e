"""What operators watch: alerts, events, failures, the overview, and work that is late."""
