"""Which revision deserves which share: the plan, the table of phases, and the decision of one tick."""
