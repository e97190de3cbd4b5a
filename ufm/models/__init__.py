"""What the free variables may be, a geometry a file."""
