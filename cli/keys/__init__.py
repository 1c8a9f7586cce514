"""`holdfast keys`: the API keys in a file."""
