"""The page about a radiogenomic study, and its words, which the command line shares. Knows no mask."""
