"""Says a sentence in the reader's language: texts with named arguments, their translations, dates, numbers, order of names."""
