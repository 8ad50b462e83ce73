"""Files of a gateway, made from its ports."""

from chat4all.domain.errors import Degraded, Unavailable
from chat4all.gateway.files.filing import FilesUseCases, Filing
from chat4all.ports.blobs import Blobs
from chat4all.ports.health import Ping
from chat4all.processes.parts import GatewayPorts
from chat4all.usecases.collecting import Collecting
from chat4all.usecases.direct_uploads import DirectUploads
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.uploading import Uploading


def make_files(ports: GatewayPorts, signing_in: SigningIn) -> Filing:
    """Return files, which say that there are none without a store for them."""
    uploads, files, blobs = ports.people.uploads, ports.people.files, ports.blobs
    use_cases = None
    if blobs is not None:
        picturing = Picturing(blobs, ports.pictures)
        finishing = Finishing(uploads, blobs, picturing)
        uploading = Uploading(uploads, blobs, finishing, ports.file_limits, ports.quota)
        use_cases = FilesUseCases(
            uploading,
            DirectUploads(uploading, uploads, files, blobs, ports.presigning),
            Downloading(files, blobs, ports.security.tokens),
            picturing,
            Collecting(files, blobs),
        )
    return Filing(use_cases, signing_in, ports.policy.limits)


def ping_of(blobs: Blobs) -> Ping:
    """Return the ping of a store of files: without it a gateway does all else that it does."""

    async def ping() -> None:
        try:
            await blobs.ping()
        except Unavailable as error:
            raise Degraded(str(error)) from error

    return ping
