"""Figures of run records, and the report page."""
