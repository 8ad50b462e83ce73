"""Files: uploads by tus 1.0.0, and downloads with ranges."""
