"""What Chat4All does, a module for each verb. They depend on ports and the domain only."""
