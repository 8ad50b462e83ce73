"""The Autobahn test suite against the product: `python -m tests.live.autobahn PYTHON`.

PYTHON is a Python 2.7 that has `autobahntestsuite` (PyPI); nothing newer runs the suite. It takes
about a minute, and prints every case whose outcome is not the one that is wanted. The cases of
`test_protocol.py` are the same, for every day.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.faults.running import Running

COMMAND = [sys.executable, "-m", "tests.live.product"]  # it sends back what it hears

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]

RUN = (
    "import sys; from autobahntestsuite.wstest import run; "
    "sys.argv[:] = ['wstest', '-m', 'fuzzingclient', '-s', sys.argv[1]]; run()"
)

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")


def wanted_code(case: str) -> int | None:
    """Return the code that a case is closed with on purpose, where the suite wants none.

    Messages are text, of at most 64 KiB; the library refuses a close frame within a message.
    """
    group, number, *_ = case.split(".")
    if (group, number) in {("1", "2"), ("9", "8")} or case in BINARY_THAT_IS_SMALL:
        return 4400
    if group == "9":
        return 1009
    return 1002 if case == "7.1.5" else None


BINARY_THAT_IS_SMALL = {"9.2.1", "9.4.1", "9.4.2", "9.4.3", "9.4.4", "9.4.5"}


def is_as_wanted(case: str, outcome: dict[str, Any]) -> bool:
    if outcome["behavior"] in GOOD and outcome["behaviorClose"] in GOOD:
        return True
    wanted = wanted_code(case)
    return wanted is not None and bool(outcome["remoteCloseCode"] == wanted)


def main(python: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        running = Running(Path(folder), command=COMMAND).start()
        try:
            server = {"agent": "it", "url": f"ws://127.0.0.1:{running.port}/v1/live"}
            settings = {
                "outdir": f"{folder}/reports",
                "servers": [server],
                "cases": CASES,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
            file = Path(folder, "settings.json")
            file.write_text(json.dumps(settings))
            subprocess.run([python, "-c", RUN, str(file)], check=True, timeout=600)
        finally:
            running.kill()
        outcomes = json.loads(Path(folder, "reports", "index.json").read_text())["it"]
    bad = {case: outcome for case, outcome in outcomes.items() if not is_as_wanted(case, outcome)}
    for case, outcome in bad.items():
        print(case, outcome)
    print(f"{len(outcomes) - len(bad)} of {len(outcomes)} cases are as wanted")
    return 1 if bad or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
