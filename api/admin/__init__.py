"""What managers do: each action is a command, and so stands in the log."""
