"""The way in: a page of records becomes rows, checkpoint and events, once."""
