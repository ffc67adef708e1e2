"""The outbox: what happened, written with the change and told to sinks afterwards."""
