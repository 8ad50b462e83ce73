"""What the commands of users share: who is signed in, which conversation is meant, what is shown.

Everything here speaks the public interface only, by `chat4all.client`.
"""
