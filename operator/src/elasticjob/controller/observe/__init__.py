"""What the operator knows of a job, as frozen records. Pure."""
