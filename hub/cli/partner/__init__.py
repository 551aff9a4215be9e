"""Commands about partners and trusted CAs: list, show, add, by a WSDL too, change, test, call, remove."""
