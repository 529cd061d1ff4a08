"""The zip that is deployed."""

from stack import ZIP


def test_the_zip_stays_small_for_a_quick_cold_start():
    assert ZIP.stat().st_size <= 4_500_000
