"""When mail moves: the queue run, the links, and the run that a link-up starts."""
