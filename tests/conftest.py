import pytest
from hypothesis import HealthCheck, settings

# A failure must be the same on every machine and on every run.
settings.register_profile(
    "chat4all",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("chat4all")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
