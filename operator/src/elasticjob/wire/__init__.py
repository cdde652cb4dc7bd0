"""What goes over the wire: names, labels and the records that operator and agents exchange.

Decides nothing; imports nothing but the data modules of the standard library; Python 3.9.
"""
