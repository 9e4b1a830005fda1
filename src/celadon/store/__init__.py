"""What celadon remembers: the journal of every service, and the model store."""
