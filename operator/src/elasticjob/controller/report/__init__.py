"""What people and programs read: status, conditions, events, metrics."""
