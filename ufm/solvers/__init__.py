"""From a start to a critical point: minimisation, sharpening, the optimal bias, the gradient flow."""
