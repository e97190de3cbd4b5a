"""Files that are whole or not there, and locks on what a living process writes."""
