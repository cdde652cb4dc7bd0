"""What a person types: `elasticjob local ...`."""
