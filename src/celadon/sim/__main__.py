"""`python -m celadon.sim`: many seeds, or one of them with its transcript."""

from celadon.sim.runner import main

raise SystemExit(main())
