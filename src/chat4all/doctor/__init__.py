"""What `chat4all doctor` checks, and the one runner of all checks.

`one_machine` and `cluster` each have a list of checks, and a module of checks for each subject.
"""
