"""The web page: images sent to this computer in a browser, predicted as `gliomask predict` does, results to look at."""
