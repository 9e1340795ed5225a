"""The queue's UUCP work: jobs for neighbours, what came from them, and what is known of them."""
