"""What every Delegant service shares: keys, tokens, claims, challenges and OAuth wire types."""
