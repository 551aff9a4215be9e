"""The pages of those who follow the exchange: the overview, the failures, the events, the partners."""
