"""What tests share: an issuer, keys, a network in memory."""
