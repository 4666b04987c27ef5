"""Keys, tokens, and the record of who turned a token back."""
