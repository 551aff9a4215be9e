"""The shared mail system of the sample province, and how it was used."""
