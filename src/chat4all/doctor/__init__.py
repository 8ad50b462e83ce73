"""What `chat4all doctor` checks, and the one runner of all checks.

`one_machine` and `cluster` have a list of checks each, and the checks cut by what they look at.
"""
