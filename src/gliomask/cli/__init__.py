"""The command line: a thin door. Each command is a module with its options and a ``run`` that calls the package."""
