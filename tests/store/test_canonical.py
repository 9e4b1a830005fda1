"""The bytes of a record are those of RFC 8785, whichever way they are made."""

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from celadon.store.canonical import canonical

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(max_size=4), inner)
)


@given(VALUE)
@example([0.0, -0.0, 1e-4, 0.00010001, 1e-7, 9007199254740991.0, 1e16, 1e21, 1_700_000_000.25])
@example({"\U0001f600": 1, "\ufb33": 2, "b": [], "a": {}})
@example('\x00\x1f\x7f\u2028"\\/')
def test_it_is_the_canonical_form_of_the_standard(value: object):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", ["\ud800", 2**53, -(2**53), float("nan"), float("inf"), {1: 2}])
def test_what_has_no_canonical_form_is_refused(value: object):
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical([value])
