"""The operator: pods, the Round Lease's `desired`, status, events and metrics of each job."""
