"""The MCP gateway: the OAuth-secured entry point for agents."""
