"""Rules 2 to 6: what one agent does, in the order of rendezvous/step.py."""
