"""The path of a request comes in as the only argument; the local engine does what it says."""

import sys

from gitops.adapters.kfp.local import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
