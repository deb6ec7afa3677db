"""LiveDrop: limited things, sold fairly at an announced second."""

__version__ = "0.1.0"
