"""Rules 2 to 6: what one agent does. `step.RULES` sets their order."""
