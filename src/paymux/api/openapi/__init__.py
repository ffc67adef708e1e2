"""The interface described by itself: OpenAPI 3.1 out of the handlers, and a page to read it on."""
