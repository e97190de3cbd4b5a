"""Side-by-side timings against peers and against the hardware's floor: `make bench`."""
