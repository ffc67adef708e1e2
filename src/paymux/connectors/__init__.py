"""Built-in connectors, one folder each; they see ``paymux.sdk`` and nothing else."""
