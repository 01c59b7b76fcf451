"""The opaque text of `X-Position`."""

from base64 import urlsafe_b64encode

import pytest

from schemas.position import MalformedPosition, from_token, to_token


@pytest.mark.parametrize("position", [{}, {0: 0}, {0: 12345}, {3: 1, 1: 2, 1023: 9_223_372_036_854_775_807}])
def test_a_position_comes_back_and_its_text_is_url_safe(position: dict[int, int]) -> None:
    token = to_token(position)
    assert from_token(token) == position
    assert token.replace("-", "").replace("_", "").isalnum()


def test_equal_positions_have_equal_texts() -> None:
    assert to_token({1: 2, 3: 4}) == to_token({3: 4, 1: 2})


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


GOOD = to_token({0: 5})


@pytest.mark.parametrize(
    "token",
    ["", " ", "x", "0:5", "é", "\x00", GOOD + "=", GOOD[:-1], GOOD + "A", f" {GOOD}", f"{GOOD}\n", f"{GOOD[:2]}!{GOOD[2:]}",
     GOOD * 2, encoded("2.0:5"), encoded("1.0"), encoded("1.0:"), encoded("1.0:-1"), encoded("1.00:5"), encoded("1.0:05"),
     encoded("1.0:5.0:6"), encoded("1.2:5.1:5"), encoded("1.0:5."), encoded("1.0:5\n"), encoded("1.0:" + "9" * 20),
     encoded("1.100000:1"), encoded("1.٣:1"), encoded("1."), "A" * 100_000],
)  # fmt: skip
def test_what_to_token_did_not_make_is_refused(token: str) -> None:
    with pytest.raises(MalformedPosition):
        from_token(token)
