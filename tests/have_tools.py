"""`python -m tests.have_tools`: install the programs that tests start, where that is allowed.

Elsewhere one sentence says which are missing and how to install them.
"""

import sys

from engines import Failed, packages

TOOLS = [
    packages.program("strace", "strace"),  # watches the disk
    packages.program("busybox", "busybox"),  # asks for S3's health, as its image does
    packages.program("chromium", "chromium"),  # the chat page
    packages.program("caddy", "caddy", service="caddy"),
    packages.program("curl", "curl"),  # the README's session
    packages.program("nginx", "nginx", service="nginx"),
    packages.program("node", "nodejs"),  # 20.10 or newer, which has a WebSocket
    packages.program("openssl", "openssl"),
    packages.program("systemd-analyze", "systemd"),
]


def main() -> int:
    """Return the exit status."""
    try:
        packages.tools(*TOOLS)
    except Failed as failed:
        packages.say(str(failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
