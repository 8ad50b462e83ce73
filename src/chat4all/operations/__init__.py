"""What several commands do or need: options, installations, backups, migration, demo data."""
