"""The token broker: the only client of the authorization server."""
