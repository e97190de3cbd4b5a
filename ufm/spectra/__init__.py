"""Spectra of the Hessian: the record, its exact blocks, its two ends, and what they say of convergence."""
