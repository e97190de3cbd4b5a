"""A level of a spectrum: an eigenvalue, and how often it occurs."""

Level = tuple[float, int]
