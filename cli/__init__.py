"""The command `ufm`."""
