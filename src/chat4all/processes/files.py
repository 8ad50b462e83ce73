"""Files of a gateway, made from its ports."""

import asyncio

from chat4all.adapters.clamd import Clamd
from chat4all.concurrency.pacing import Pace
from chat4all.domain.errors import Degraded, Unavailable
from chat4all.gateway.files.filing import FilesUseCases, Filing
from chat4all.ports.blobs import Blobs
from chat4all.ports.health import ASIDE_PING_SECONDS, Ping
from chat4all.ports.scanning import Scanner
from chat4all.processes.parts import GatewayPorts
from chat4all.usecases.checking_uses import CheckingUses
from chat4all.usecases.collecting import Collecting
from chat4all.usecases.direct_uploads import DirectUploads
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.listing_files import ListingFiles
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.scanning import Scanning
from chat4all.usecases.sharing_objects import SharingObjects
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.uploading import Uploading


def make_files(ports: GatewayPorts, signing_in: SigningIn, pace: Pace) -> Filing:
    """Return files, which say that there are none without a store for them.

    `pace` has uploads give way to messages.
    """
    uploads, files, meter = ports.people.uploads, ports.people.files, ports.meter.files
    use_cases = None
    if ports.blobs is not None:
        blobs = meter.blobs(ports.blobs)
        picturing = Picturing(blobs, meter.pictures(ports.pictures))
        scanning = None
        if ports.scanner is not None:
            scanner = meter.scanner(ports.scanner)
            scanning = Scanning(ports.people.scans, blobs, scanner, picturing)
            meter.watch_unscanned(scanning.waiting)
        presigning = ports.presigning and meter.presigning(ports.presigning)
        finishing = Finishing(uploads, blobs, picturing, scanning)
        uploading = Uploading(uploads, blobs, finishing, ports.file_limits, ports.quota, pace)
        use_cases = FilesUseCases(
            uploading,
            DirectUploads(uploading, uploads, files, blobs, presigning),
            Downloading(files, blobs, ports.security.tokens),
            ListingFiles(files),
            picturing,
            Collecting(meter.garbage(files), blobs),
            CheckingUses(ports.people.file_uses, files, ports.store, ports.letters, ports.progress),
            SharingObjects(ports.people.sharing, blobs),
            scanning,
        )
    filing = Filing(use_cases, signing_in, ports.policy.limits)
    meter.watch(filing.transfers.counts)
    return filing


def scanner_at(address: str | None) -> Scanner | None:
    """Return the scanner that listens at an address, if there is one."""
    return None if address is None else Clamd(address)


def ping_of(part: Blobs | Scanner) -> Ping:
    """Return the ping of what only files need: without it a gateway does all else that it does."""

    async def ping() -> None:
        try:
            async with asyncio.timeout(ASIDE_PING_SECONDS):
                await part.ping()
        except TimeoutError:
            raise Degraded(f"no answer within {ASIDE_PING_SECONDS:g} s") from None
        except Unavailable as error:
            raise Degraded(str(error)) from error

    return ping
