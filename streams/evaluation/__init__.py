"""The measuring stick: leak episodes injected into a benign log, and how many of them each method finds."""
