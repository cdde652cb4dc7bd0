"""One pod on the local node: environment, command, volumes, containers, status and logs."""
