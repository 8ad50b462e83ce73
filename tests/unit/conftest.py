import pytest

from chat4all.doctor import pictures
from tests.attached import FakePictures


@pytest.fixture(autouse=True)
def _without_the_process_for_pictures(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`chat4all doctor` starts one, and fast tests start no process."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(pictures, "LimitedPictures", FakePictures)
