"""`python -m engines up | down | fetch | cluster`.

The standard output of `up` has only what a shell evaluates.
"""

import sys

from engines import cluster, developer
from engines.packages import say
from engines.server import Failed

USAGE = "python -m engines up | down | fetch | cluster"


def main(arguments: list[str]) -> int:
    """Do what is asked; return the exit status."""
    try:
        match arguments:
            case ["up"]:
                print(developer.exports(developer.up()), end="")
                developer.release()  # they are to go on running
            case ["down"]:
                developer.down()
            case ["fetch"]:
                developer.fetch()
            case ["cluster"]:
                cluster.run()
            case _:
                say(USAGE)
                return 2
    except Failed as failed:
        say(str(failed))
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
