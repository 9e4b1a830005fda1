"""Which replicas carry the revisions: headroom and placement."""
