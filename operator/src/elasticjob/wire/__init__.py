"""The records that operator and agents exchange through Leases, and the names that both use.

The package imports only data modules of the standard library, and runs on Python 3.9.
"""
