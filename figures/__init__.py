"""Draws run records and spectra; the report page."""

from ufm_names import require_own

require_own("ufm", "validate")
