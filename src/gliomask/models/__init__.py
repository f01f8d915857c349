"""The networks, their losses and the files they are kept in. Knows nothing of images, patients or training."""
