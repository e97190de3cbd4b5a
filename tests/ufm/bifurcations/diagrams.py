"""Diagrams that several tests look at, each made once."""

from functools import cache

from ufm.bifurcations import Diagram, Path, diagram

PATHS = {
    "K = 3, no bias": Path(3, "rho", 0.03, 0.2, 0.0, bias=False),
    "K = 3, lambda_b": Path(3, "lambda_b", 0.2, 0.8, 0.03),
    "K = 4, lambda_b": Path(4, "lambda_b", 0.1, 0.6, 0.5),
    "K = 4, twice": Path(4, "rho", 0.3, 0.97, 3 / 2**0.5),
}


@cache
def made(name: str) -> Diagram:
    return diagram(PATHS[name], looks=2, until_quiet=100)
