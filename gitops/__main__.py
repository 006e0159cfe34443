"""`python -m gitops` is `gitops`."""

import sys

from gitops.cli import main

sys.exit(main())
