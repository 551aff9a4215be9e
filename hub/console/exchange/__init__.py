"""The pages of those who follow the exchange: the overview, the events, the partners."""
