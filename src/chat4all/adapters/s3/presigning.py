"""URLs by which a client sends parts of an upload to an S3 store, without its credentials."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from chat4all.domain.buckets import Bucket


def signed_part_urls(
    bucket: Bucket, key: str, upload: str, sizes: Mapping[int, int], seconds: int
) -> Mapping[int, str]:
    """Return a URL for each part, by number, that takes a PUT of this size for so many seconds."""
    auth = S3SigV4QueryAuth(
        Credentials(bucket.access_key, bucket.secret_key), "s3", bucket.region, expires=seconds
    )
    path = f"{bucket.endpoint}/{bucket.name}/{quote(key)}"

    def signed(number: int, size: int) -> str:
        query = urlencode({"partNumber": number, "uploadId": upload}, quote_via=quote, safe="")
        # A header that is signed has to be sent as it is: the store refuses any other length.
        request = AWSRequest("PUT", f"{path}?{query}", headers={"content-length": str(size)})
        auth.add_auth(request)
        return str(request.url)

    return {number: signed(number, size) for number, size in sizes.items()}
