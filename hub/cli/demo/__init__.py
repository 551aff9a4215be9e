"""`lienthong demo`: how the operator plays the sample province and what is compared in the end."""
