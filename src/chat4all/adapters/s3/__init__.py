"""The bytes of files in a bucket of an S3-compatible store."""

from chat4all.adapters.s3.blobs import S3Blobs

__all__ = ["S3Blobs"]
