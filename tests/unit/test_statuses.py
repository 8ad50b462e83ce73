"""Statuses: two numbers are enough for a whole page."""

from hypothesis import given
from hypothesis import strategies as st

from chat4all.domain.ids import BEFORE_ALL, MessageId, Username
from chat4all.domain.messages import AllRead, Status, StoredMessage
from tests.records import CHATS

NAMES = [Username(name) for name in ("ana", "bruno", "carla", "diego", "gone")]
_seqs = st.integers(0, 5)


@given(
    members=st.sets(st.sampled_from(NAMES[:-1]), min_size=1),
    read=st.dictionaries(st.sampled_from(NAMES), _seqs),
    sender=st.sampled_from(NAMES),
    seq=st.integers(1, 5),
)
def test_a_message_is_read_when_every_other_member_has_read_it(
    members: set[Username], read: dict[Username, int], sender: Username, seq: int
) -> None:
    others = [read.get(name, 0) for name in members if name != sender]
    wanted = Status.READ if others and min(others) >= seq else Status.DELIVERED
    message = StoredMessage(CHATS[0], seq, MessageId(""), sender, "", "", BEFORE_ALL)
    assert AllRead.by(members, read).status(message) is wanted
