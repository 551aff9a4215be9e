"""Commands about partners and trusted CAs: list, show, add, change, test, remove."""
