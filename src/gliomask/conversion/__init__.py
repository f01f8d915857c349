"""Makes folders to train on from volumes with outlines. Knows no network."""
