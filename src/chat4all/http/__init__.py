"""HTTP that the gateway and the metadata service share: problems, bodies, tokens, health, docs."""
