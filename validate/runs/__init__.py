"""The record of a run on disk, and what made it."""
