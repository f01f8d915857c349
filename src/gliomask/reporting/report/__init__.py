"""One self-contained page about a run and its scores. Knows no network, no training loop and no command line."""
