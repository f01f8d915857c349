"""Volumes: readers and writers of slices, and phantom patients."""
