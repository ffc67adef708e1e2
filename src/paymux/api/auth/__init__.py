"""Who asks, and what they may do: API tokens, and JWTs of issuers that the operator trusts."""
