"""What can be seen of a service while it works: metrics and traces, which every room may call on."""
