"""From a folder of labelled slices to batches: index, split, cache, augmentation. Knows nothing of networks."""
