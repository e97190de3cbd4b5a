"""What the metrics know of labelled features: counts, means, scatter, in one pass or two."""
