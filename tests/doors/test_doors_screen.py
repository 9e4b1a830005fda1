"""Lines on a terminal: nothing is lost, nothing is broken inside a word, and what goes on is set in."""

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from celadon.doors.cli.screen import HANG_ROOM, wrapped

words = st.lists(st.text(alphabet="abc", min_size=1, max_size=60), min_size=1, max_size=30)


@given(words, st.integers(min_value=0, max_value=40), st.integers(min_value=HANG_ROOM, max_value=120))
def test_a_long_line_keeps_its_words_and_its_width(said, hang, width):
    pieces = [piece.plain for piece in wrapped(Text(" ".join(said)), hang, width)]
    assert [word for piece in pieces for word in piece.split()] == said
    for piece in pieces:
        assert len(piece) <= width or len(piece.split()) == 1


def test_what_does_not_fit_is_set_under_what_it_belongs_to():
    line = Text("  why      " + "word " * 12)
    assert [piece.plain for piece in wrapped(line, 11, 51)] == [
        "  why      word word word word word word word word",
        "           word word word word",
    ]
