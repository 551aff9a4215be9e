"""Signs people in: the pages, OpenID providers, and the queue of attempts."""
