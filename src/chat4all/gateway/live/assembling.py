"""Messages out of the frames that a client sends."""

import codecs

from websockets.frames import Frame, Opcode

from chat4all.gateway.live.codes import CloseCode, SocketClosed
from chat4all.wire.frames import FRAME_MAX

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Assembler:
    """Puts one client's frames together. It keeps no more than one message."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun: _Begun | None = None

    @property
    def is_incomplete(self) -> bool:
        """Say whether the first frame of a message has come, and not the last one."""
        return self._begun is not None

    def add(self, frame: Frame) -> bytes | None:
        """Return the text message that this data frame completes, if it does.

        The frames come in an order that the protocol allows. Raises `SocketClosed` for what is
        binary, too large or not UTF-8, as soon as that is certain.
        """
        if frame.opcode is Opcode.BINARY:
            raise SocketClosed(CloseCode.NOT_UNDERSTOOD, "send text frames")
        data = bytes(frame.data)
        begun = self._begun
        if len(data) + (len(begun.content) if begun else 0) > FRAME_MAX:
            raise SocketClosed(CloseCode.TOO_BIG, f"more than {FRAME_MAX // 1024} KiB")
        try:
            if begun is None and frame.fin:
                if not data.isascii():
                    data.decode()
                return data
            if begun is None:
                begun = self._begun = _Begun()
            begun.decoder.decode(data, frame.fin)
        except UnicodeDecodeError:
            raise SocketClosed(CloseCode.NOT_UTF8, "not UTF-8") from None
        begun.content += data
        if not frame.fin:
            return None
        self._begun = None
        return bytes(begun.content)


class _Begun:
    """What has come of a message in several frames."""

    __slots__ = ("content", "decoder")

    def __init__(self) -> None:
        self.content = bytearray()
        self.decoder = _Utf8Decoder()
