"""The nouns of the product: values that are valid once made, and do no I/O."""
