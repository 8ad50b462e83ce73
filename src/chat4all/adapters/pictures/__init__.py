"""Pictures, looked at by libvips in a process of their own."""

from chat4all.adapters.pictures.process import LimitedPictures

__all__ = ["LimitedPictures"]
