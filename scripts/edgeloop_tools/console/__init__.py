"""The Console from the command line: who may use the page."""
