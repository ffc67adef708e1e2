"""The verbs: what people ask us to change."""
