"""The HTTP API on a Unix socket: the only way in. The command line is one client of it, and has no other door."""
