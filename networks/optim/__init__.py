"""What is minimised and how: losses, schedules, optimisers, steps."""
