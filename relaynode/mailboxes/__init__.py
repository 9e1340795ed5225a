"""Local mailboxes served to the people they belong to."""
