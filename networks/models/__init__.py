"""Classifiers by name: backbones, heads, and what they take."""
