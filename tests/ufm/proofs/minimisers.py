"""Minimisers that several tests of proofs begin with."""

import ufm


def minimiser(problem, start=None):
    return ufm.minimize(problem, start=start, tol=1e-14).point
