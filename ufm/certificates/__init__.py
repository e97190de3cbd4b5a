"""What can be certified of a point, to a tolerance: a lower bound, a direction of descent, a verdict."""
