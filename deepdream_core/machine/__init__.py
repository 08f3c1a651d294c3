"""What this machine has: folders, services, programs. Standard library only: the installer uses it too."""
