"""Writes reports as HTML, PDF, XLSX, CSV, SVG and Atom."""
