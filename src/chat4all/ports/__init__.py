"""What the use cases need from outside: a module for each area, a Protocol for each caller.

Any adapter that implements one passes its suite in `tests/contract/`. A method may raise
`Unavailable` while the thing behind it does not answer; the caller tries again later. No other
driver error passes a port. A caller that needs two ports takes two.
"""
