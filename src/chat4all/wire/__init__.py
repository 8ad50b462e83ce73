"""JSON shapes on the log, the feed, HTTP and the sockets; shared with the client.

`records` is what stands in the log, `shapes` what clients send and see.
"""
