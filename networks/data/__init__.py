"""Labelled images: where they come from, which are kept, how they are augmented."""
