"""Figures of the theory: spectra, landscapes, descents, flows, maps of traps."""
