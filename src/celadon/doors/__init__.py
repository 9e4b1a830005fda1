"""Where people and programs come in: requests become specs and commands, problems and reasons become text."""
