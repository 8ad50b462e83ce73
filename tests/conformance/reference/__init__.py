"""A driver with as little of a client as passes the suite, and with defects on demand.

It proves the suite: without a defect it passes every scenario, with one it does not.
"""
