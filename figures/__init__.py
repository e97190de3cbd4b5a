"""Draws run records and spectra; the report page."""
