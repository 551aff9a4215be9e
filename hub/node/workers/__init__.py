"""The worker processes of one node: they serve the SOAP port, and the node's own process holds the journal."""
