"""What the operator changes: it carries out the actions of a plan."""
