"""The command line interface: `elasticjob local ...`."""
