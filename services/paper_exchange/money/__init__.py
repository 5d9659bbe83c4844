"""What customers ask of accounts, and what the venue itself does to their money."""
