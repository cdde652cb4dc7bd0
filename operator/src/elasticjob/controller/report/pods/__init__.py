"""The pods of a job for people: which run, why the others do not, and their names."""
