"""The version of this project; setup.cfg and CITATION.cff say the same."""

__version__ = "0.1.0"
