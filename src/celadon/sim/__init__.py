"""A seeded world behind the ports of the loop, made to break every promise that can be broken."""
