"""Every process: what it is made of (`apps`), and where that comes from and how long it lives."""
