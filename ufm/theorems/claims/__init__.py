"""The claims, a file a subject, each beside its check."""
