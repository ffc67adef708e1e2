"""The tasks: connectors at work on the durable engine."""
