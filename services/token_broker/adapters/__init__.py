"""How an authorization server wants to be asked for a token exchange."""
