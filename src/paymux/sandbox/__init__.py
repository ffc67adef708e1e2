"""A payment provider that never was, for trying things out: it keeps honest books and misbehaves on request.

It is the outside world: nothing of the product but the command that starts it knows it, and it knows
nothing of the product.
"""
