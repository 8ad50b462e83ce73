"""What several commands share: options, installations, users, backups, migration, dead letters."""
