"""Run replicas and report them."""
