"""Reports as a person may read, sign and hand them in, and the page at a glance."""
