"""What gets deployed: the zip, and dist/ for those who do not build."""

import pytest

from samples import denials, pack
from stack import ZIP


@pytest.mark.exhaustive  # of the release
def test_the_zip_stays_small_for_a_quick_cold_start():
    assert ZIP.stat().st_size <= 4_500_000


def test_the_packaged_template_alerts_like_the_source(packaged, user):
    records = denials(user, 0, 10, 20, 30)
    packaged.deliver(pack(*records))
    [alert] = packaged.alerts()
    assert alert["total_denials"] == 4 and alert["user"]["id"] == user
