"""What comes to be known of answers later: predictions that were logged, labels and scores that are posted."""

from celadon.observe.labels.store import SqliteLabels

__all__ = ["SqliteLabels"]
