"""Independent sources of facts: what nobody else reports is asked here."""
