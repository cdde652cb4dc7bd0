"""The protocol as pure functions: what an agent does on an event, what the holder decides."""
