"""The worker processes of one agent: start, end, output, error files and progress files."""
