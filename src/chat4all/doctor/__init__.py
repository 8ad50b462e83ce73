"""What `chat4all doctor` looks at, and the runner of its checks."""
