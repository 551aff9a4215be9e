"""Reports as HTML, PDF, XLSX, CSV, SVG and Atom."""
