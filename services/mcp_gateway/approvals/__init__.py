"""A person agrees to a call before it is carried out (docs/adr/0034)."""
