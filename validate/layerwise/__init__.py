"""Collapse along the depth of a network: the features of every layer, measured together."""
