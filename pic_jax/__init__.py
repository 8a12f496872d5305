"""Probabilistic Image Colorization (Royer et al. 2017) in JAX."""
