"""What was accepted a moment ago is kept for a minute, and takes no memory after it."""

import gc
import weakref

from chat4all.usecases.recent import RECENT_SECONDS, Recent


class Text:
    """Stands for a record."""


def test_what_is_too_old_goes_with_the_next_one() -> None:
    recent, old, new = Recent[str, Text](), Text(), Text()
    gone = weakref.ref(old)
    recent.keep("old", old, 10.0)
    recent.keep("new", new, 20.0)
    assert recent.get("old", 10.0 + RECENT_SECONDS - 0.1) is old
    del old
    recent.keep("another", new, 10.0 + RECENT_SECONDS)
    gc.collect()
    assert gone() is None
    assert recent.get("new", 10.0 + RECENT_SECONDS) is new
