"""From a config, a split and a cache to a run folder with a trained, exported model. Knows nothing of prediction."""
