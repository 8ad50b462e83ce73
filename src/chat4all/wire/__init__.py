"""JSON shapes on the log, the feed, HTTP and the sockets; shared with the client.

`records` has what the log keeps, `events` what the feed carries, `internal` what the services say
to each other; `requests`, `messages` and `people` have what clients send and see.
"""
