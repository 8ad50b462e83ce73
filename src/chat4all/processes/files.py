"""Files of a gateway, made from its ports."""

from chat4all.adapters.clamd import Clamd
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.gateway.files.filing import FilesUseCases, Filing
from chat4all.ports.blobs import Blobs
from chat4all.ports.health import Ping
from chat4all.ports.scanning import Scanner
from chat4all.processes.parts import GatewayPorts
from chat4all.usecases.collecting import Collecting
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.scanning import Scanning
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.uploading import Uploading


def make_files(ports: GatewayPorts, signing_in: SigningIn) -> Filing:
    """Return files, which say that there are none without a store for them."""
    uploads, files, blobs = ports.people.uploads, ports.people.files, ports.blobs
    use_cases = None
    if blobs is not None:
        picturing = Picturing(blobs, ports.pictures)
        scanning = None
        if ports.scanner is not None:
            scanning = Scanning(ports.people.scans, blobs, ports.scanner, picturing)
        finishing = Finishing(uploads, blobs, picturing, scanning)
        use_cases = FilesUseCases(
            Uploading(uploads, blobs, finishing, ports.file_limits, ports.quota),
            Downloading(files, blobs, ports.security.tokens),
            picturing,
            Collecting(files, blobs),
            scanning,
        )
    return Filing(use_cases, signing_in, ports.policy.limits)


def scanner_at(address: str | None) -> Scanner | None:
    """Return the scanner that listens at an address, if there is one."""
    return None if address is None else Clamd(address)


def ping_of(part: Blobs | Scanner) -> Ping:
    """Return the ping of what only files need: without it a gateway does all else that it does."""

    async def ping() -> None:
        try:
            await part.ping()
        except Unavailable as error:
            raise Degraded(str(error)) from error

    return ping
