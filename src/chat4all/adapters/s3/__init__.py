"""The bytes of files in a bucket of any store that speaks S3."""

from chat4all.adapters.s3.blobs import S3Blobs

__all__ = ["S3Blobs"]
