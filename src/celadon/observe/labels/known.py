"""What the writing thread knows of each service, in memory and in the file: interests, counts, places in files."""

import sqlite3
from dataclasses import dataclass, field, fields, replace

from celadon.domain.feedback import Heard, Interest
from celadon.domain.names import ServiceKey
from celadon.observe.labels.tail import Place

HEARD = tuple(one.name for one in fields(Heard))


@dataclass(slots=True, kw_only=True)
class Kept:
    """One service, under the number `key`. interests None: it was followed, and by whom now was not told yet.

    counts: the numbers of `Heard`. places: where reading goes on in each file of predictions. kept_from: the position
    up to which its arrivals are gone.
    """

    key: int
    interests: tuple[Interest, ...] | None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HEARD, 0))
    places: dict[str, Place] = field(default_factory=dict)
    kept_from: int = 0

    def copy(self) -> "Kept":
        """The same, to go back to."""
        return replace(self, counts=dict(self.counts), places=dict(self.places))

    def follow(self, database: sqlite3.Connection, interests: tuple[Interest, ...]) -> None:
        """Remember other interests."""
        database.execute("UPDATE services SET followed = ? WHERE key = ?", (bool(interests), self.key))
        if not interests:
            database.execute("DELETE FROM tails WHERE service = ?", (self.key,))
            self.places.clear()
        self.interests = interests

    def stand(self, database: sqlite3.Connection, file: str, place: Place) -> None:
        """Remember where reading goes on in a file."""
        self.places[file] = place
        row = (self.key, file, place.inode, place.offset)
        database.execute("INSERT OR REPLACE INTO tails VALUES (?, ?, ?, ?)", row)

    def count(self, database: sqlite3.Connection, name: str, change: int) -> None:
        """Change one of the numbers of `Heard`."""
        self.counts[name] += change
        self._keep(database, name, self.counts[name])

    def gone_to(self, database: sqlite3.Connection, pos: int) -> None:
        """Remember that arrivals up to a position are gone."""
        self.kept_from = pos
        self._keep(database, "kept_from", pos)

    def _keep(self, database: sqlite3.Connection, name: str, number: int) -> None:
        database.execute("INSERT OR REPLACE INTO counts VALUES (?, ?, ?)", (self.key, name, number))


def load(database: sqlite3.Connection) -> dict[ServiceKey, Kept]:
    """All services of a file, as the last transaction left them."""
    found = {}
    for key, namespace, name, followed in database.execute("SELECT * FROM services").fetchall():
        one = Kept(key=key, interests=None if followed else ())
        counts = dict(database.execute("SELECT name, number FROM counts WHERE service = ?", (key,)))
        one.kept_from = counts.pop("kept_from", 0)
        one.counts |= counts
        tails = database.execute("SELECT file, inode, offset FROM tails WHERE service = ?", (key,))
        one.places = {file: Place(inode, offset) for file, inode, offset in tails}
        found[ServiceKey(namespace=namespace, name=name)] = one
    return found


def add(database: sqlite3.Connection, service: ServiceKey) -> Kept:
    """A service that nothing is known of."""
    row = (service.namespace, service.name)
    key = database.execute("INSERT INTO services VALUES (NULL, ?, ?, 0)", row).lastrowid
    assert key is not None
    return Kept(key=key, interests=())
