"""The last layer of anybody's classifier: found, and run over data."""
