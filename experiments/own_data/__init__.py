"""Data of one's own at the shell: their files, and the tasks that networks learn on them."""
