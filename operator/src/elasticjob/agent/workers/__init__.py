"""The worker processes of one agent: how they start, how they end, what they print and report."""
