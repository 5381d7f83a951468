"""``python -m reconciler`` is the command ``netapply``."""

from reconciler.cli.main import main

main()
