"""Figures, contours, GIFs and charts, as files. Knows nothing of networks, training or the command line."""
