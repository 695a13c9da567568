"""A development authorization server. Never run it in production."""
