"""Each test reads like the sentence in the manual that it proves."""
