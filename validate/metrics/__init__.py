"""How far a last layer is from neural collapse: a quantity a file."""
