"""What authors write: decorators, and the ledger of what they declared."""
