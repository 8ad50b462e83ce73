"""What Chat4All does, one verb a module. They know ports and the domain, and no technology."""
