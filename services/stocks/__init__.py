"""The protected stocks API."""
