"""`python -m job` is the same program as `import-images`."""

import sys

from job.cli import main

sys.exit(main())
