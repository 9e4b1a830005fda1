"""Routing requests: each folder is one kind of proxy behind the `Router` port."""
