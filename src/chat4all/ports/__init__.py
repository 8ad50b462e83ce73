"""What the use cases need from the outside: a module an area, each Protocol cut by who asks.

Any adapter that implements one passes its suite in `tests/contract/`. A method may raise
`Unavailable` while the thing behind it does not answer; the caller tries again later. No other
error of a driver comes through a port. A caller that needs two ports takes two.
"""
