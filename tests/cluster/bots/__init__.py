"""The same bot on both clients: it writes down what it is given, and how far it is."""
