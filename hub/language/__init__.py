"""Says a sentence in the reader's language: phrases, their catalogues, words of the trade, order of names."""
