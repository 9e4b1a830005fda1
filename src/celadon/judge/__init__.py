"""Samples and evidence in, evidence and verdict out. No clock, no third-party import."""
