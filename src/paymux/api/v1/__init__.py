"""The tutorial's interface, one file a noun."""
