"""The house style: a drawing, its panels, scales and labels."""
