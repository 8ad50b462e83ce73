"""The reference as a command: `python -m tests.conformance.reference [--mutant NAME]`."""

import argparse

from tests.conformance.reference.program import reference
from tests.conformance.stdio import run_as_command

parser = argparse.ArgumentParser(prog="python -m tests.conformance.reference", description=__doc__)
parser.add_argument("--mutant", action="append", default=[])
run_as_command(reference(*parser.parse_args().mutant))
