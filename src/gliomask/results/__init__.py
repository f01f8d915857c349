"""All that is written about predicted studies: a folder for each, the table of all. Knows no command line."""
