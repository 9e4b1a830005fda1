"""The end of what is too old to be of use, a part at a time, so that nobody who posts has to wait long."""

import sqlite3

from celadon.observe.labels.join import Wish
from celadon.observe.labels.known import Kept

SLACK_S = 3600
"""Everything is kept for longer than labels are waited for, so that late ones can be told as such."""

PAIRS_S = 600
"""For how long an answer waits for that of its copy."""

CHUNK = 20_000
"""Rows of one table that are deleted at a time."""

OLDEST = {
    "requests": "SELECT id FROM requests WHERE service = ? AND at < ? ORDER BY at LIMIT ?",
    "predictions": "SELECT id, mirrored, revision FROM predictions WHERE service = ? AND at < ? ORDER BY at LIMIT ?",
    "units": "SELECT unit, told FROM units WHERE service = ? AND at < ? ORDER BY at LIMIT ?",
    "labels": "SELECT id, done FROM labels WHERE service = ? AND at < ? ORDER BY at LIMIT ?",
}
DELETE = {
    "requests": "DELETE FROM requests WHERE service = ? AND id = ?",
    "predictions": "DELETE FROM predictions WHERE service = ? AND id = ? AND mirrored = ? AND revision = ?",
    "units": "DELETE FROM units WHERE service = ? AND unit = ? AND told = ?",
    "labels": "DELETE FROM labels WHERE service = ? AND id = ?",
}
FIRST = "SELECT pos, at FROM arrivals WHERE service = ? ORDER BY pos LIMIT ?"


def delete_old(database: sqlite3.Connection, one: Kept, now_s: int) -> dict[str, int]:
    """Delete some of what nobody can use any more; how many rows, by table."""
    wish = Wish(service=one.key, interests=one.interests or ())
    keep_s = int(wish.mature_s()) + SLACK_S if one.interests else -1
    # Who was told of before any release of today began is known in none of them: names are other in each.
    units_s = min((int(of.began_at) for of in wish.interests), default=now_s + 1)
    predictions_s = keep_s if wish.labels else min(keep_s, PAIRS_S)
    return {
        "requests": _delete(database, one, "requests", now_s - keep_s),
        "predictions": _delete(database, one, "predictions", now_s - predictions_s),
        "units": _delete(database, one, "units", units_s),
        "labels": _delete_labels(database, one, now_s - keep_s),
        "arrivals": _delete_arrivals(database, one, now_s - keep_s),
    }


def forget(database: sqlite3.Connection, one: Kept, now_s: int) -> dict[str, int]:
    """Give up the oldest requests and predictions before their time, since there are too many."""
    gone = {table: _delete(database, one, table, now_s + 1) for table in ("requests", "predictions")}
    if gone["requests"]:
        one.count(database, "forgotten", gone["requests"])
    return gone


def _delete(database: sqlite3.Connection, one: Kept, table: str, before_s: int) -> int:
    rows = database.execute(OLDEST[table], (one.key, before_s, CHUNK)).fetchall()
    database.executemany(DELETE[table], [(one.key, *row) for row in rows])
    return len(rows)


def _delete_labels(database: sqlite3.Connection, one: Kept, before_s: int) -> int:
    """Those that still wait will never be joined."""
    rows = database.execute(OLDEST["labels"], (one.key, before_s, CHUNK)).fetchall()
    if waited := sum(not done for _, done in rows):
        one.count(database, "waiting", -waited)
        one.count(database, "unjoined", waited)
    database.executemany(DELETE["labels"], [(one.key, request) for request, _ in rows])
    return len(rows)


def _delete_arrivals(database: sqlite3.Connection, one: Kept, before_s: int) -> int:
    """Arrivals stand in the order of their time, so the old ones are the first."""
    rows = database.execute(FIRST, (one.key, CHUNK)).fetchall()
    old = [pos for pos, at_s in rows if at_s < before_s]
    if old:
        database.execute("DELETE FROM arrivals WHERE service = ? AND pos <= ?", (one.key, old[-1]))
        one.gone_to(database, old[-1])
    return len(old)
