"""The shared mail system of the sample province and its mailboxes."""
