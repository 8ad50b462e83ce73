"""Plays scenarios against a command: `python -m tests.conformance -- node driver.mjs`."""

import argparse
import asyncio
import sys
import time

from tests.conformance.data import scenarios
from tests.conformance.running import CommandDriver, play


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*scenarios()])
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="ABILITY", help="what the client cannot do"
    )
    parser.add_argument("--list", action="store_true", help="print the names, and what they are")
    parser.add_argument("command", nargs="*", help="the driver, after --")
    chosen = parser.parse_args()
    found = scenarios(without=chosen.without)
    if chosen.only:
        found = {name: found[name] for name in found if name in chosen.only}
    if chosen.list:
        for name, scenario in found.items():
            print(f"{name}: {scenario.about}")
        return
    if not chosen.command:
        parser.error("name the command of a driver after --")
    failed = 0
    for name, scenario in found.items():
        begun = time.monotonic()
        try:
            asyncio.run(play(scenario, CommandDriver(chosen.command)))
        except AssertionError as error:
            failed += 1
            print(f"FAIL {name}\n{error}\n", flush=True)
        else:
            print(f"ok   {name} ({time.monotonic() - begun:.2f} s)", flush=True)
    print(f"{len(found) - failed} of {len(found)} passed")
    sys.exit(1 if failed else 0)


main()
