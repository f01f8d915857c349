"""Benchmarks of training: a plain PyTorch loop against gliomask, and where the time goes. Not part of the package."""
