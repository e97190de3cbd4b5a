"""What theory says beside a network: its minimiser, its theorems, its critical points nearby."""
