"""What people write, into values or into all of its problems at once: the only room with a validation library."""
